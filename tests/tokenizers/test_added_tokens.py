"""Special tokens beyond the vocabulary of any tokenizer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mypt.format.errors import FormatError
from mypt.plugins.contracts.tokenizer import DivisibleTokenizer, ExportableTokenizer
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.added_tokens import AddedTokens, build_from_state
from mypt.tokenizers.char import CharTokenizer
from mypt.tokenizers.gpt2 import Gpt2Tokenizer

PLUGINS = load_plugins()
CHARS = sorted(set("<|endofus r|> abc\nä"))
N = len(CHARS)
SPECIAL = {"<|end|>": N, "<|end|>a": N + 1, "<|user|>": N + 4}
STATE = {"token_kind": "char", "chars": CHARS, "special_token_encoder": SPECIAL}
NO_ROLES = {"special_tokens": {"bos": [], "eos": [], "pad": None, "user": None}, "add_bos": False}
CHAR = build_from_state(STATE, PLUGINS)
TEXTS = st.lists(st.sampled_from([*SPECIAL, "<", "<|end", "|>", "ä", "a ", "\n"])).map("".join)


def test_a_document_without_them_makes_the_tokenizer_itself():
    plain = build_from_state({**STATE, "special_token_encoder": {}}, PLUGINS)
    assert isinstance(plain, CharTokenizer)
    state = {"token_kind": "gpt2", "special_token_encoder": {"<x>": 50257}}
    assert isinstance(build_from_state(state, PLUGINS), Gpt2Tokenizer)  # it reads them itself


def test_roles_that_it_says_itself_or_that_no_token_has_change_nothing():
    plain = build_from_state({"token_kind": "char", "chars": CHARS, **NO_ROLES}, PLUGINS)
    assert isinstance(plain, CharTokenizer)
    roles = {**NO_ROLES["special_tokens"], "bos": [50256], "eos": [50256]}
    gpt2 = build_from_state({"token_kind": "gpt2", "special_tokens": roles}, PLUGINS)
    assert isinstance(gpt2, Gpt2Tokenizer)


@pytest.mark.parametrize("special", [{"<a>": 3}, {"<a>": N, "<b>": N}])
def test_an_id_that_is_taken_is_refused(special):
    with pytest.raises(FormatError, match="is already taken"):
        build_from_state({**STATE, "special_token_encoder": special}, PLUGINS)


def test_they_are_tokens_of_their_own():
    assert CHAR.encode("a<|end|>b") == [*CHAR.encode("a"), N, *CHAR.encode("b")]
    assert CHAR.encode("<|end|>a<|user|>") == [N + 1, N + 4]  # the longest first
    assert (CHAR.n_vocab, CHAR.vocab_size) == (N + 5, N + 5)
    assert CHAR.decode([N, 0, N + 4]) == f"<|end|>{CHARS[0]}<|user|>"
    assert CHAR.decode([N + 2]) == "\ufffd"  # a gap
    assert CHAR.decode_bytes([N]) == b"<|end|>"


@given(text=TEXTS)
def test_every_text_comes_back(text):
    assert CHAR.decode(CHAR.encode(text)) == text
    assert CHAR.encode_array(text).tolist() == CHAR.encode(text)
    assert CHAR.encode_ordinary(text).tolist() == CharTokenizer(CHARS).encode(text)


@given(text=TEXTS, more=TEXTS, start=st.integers(0, 20))
def test_a_text_may_be_cut_where_it_says_whatever_follows(text, more, start):
    assert isinstance(CHAR, DivisibleTokenizer)
    place = CHAR.cut(text, start)
    if place is not None:
        assert place >= start
        longer = text + more
        assert CHAR.encode(longer[:place]) + CHAR.encode(longer[place:]) == CHAR.encode(longer)


def test_its_state_makes_an_equal_one_with_the_rules_of_its_texts():
    rules = {"special_tokens": {"turn_end": [N]}, "chat_template": "{{ messages }}"}
    made = build_from_state({**STATE, **rules}, PLUGINS)
    again = build_from_state(made.state(), PLUGINS)
    assert again.state() == made.state()
    assert made.state()["chat_template"] == "{{ messages }}"
    assert made.state()["special_token_encoder"] == SPECIAL
    assert again.encode("a<|end|>") == made.encode("a<|end|>")


def test_rules_alone_change_no_id():
    state = {"token_kind": "gpt2", "special_tokens": {"eos": [50256], "turn_end": [198]}}
    made, plain = build_from_state(state, PLUGINS), PLUGINS.tokenizer("gpt2").build({})
    assert isinstance(made, AddedTokens)
    assert made.state()["special_tokens"] == state["special_tokens"]
    assert made.encode("ab\ncd") == plain.encode("ab\ncd")
    assert (made.n_vocab, made.vocab_size) == (plain.n_vocab, plain.vocab_size)


def test_what_hugging_face_reads_has_the_same_ids_and_texts():
    tokenizers = pytest.importorskip("tokenizers")
    import json

    assert isinstance(CHAR, ExportableTokenizer)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(CHAR.to_hugging_face()["tokenizer"]))
    for text in ("a<|end|>b", "<|end|>a<|user|>ä", "<|end"):
        found = theirs.encode(text, add_special_tokens=False).ids
        assert found == CHAR.encode(text)
        assert theirs.decode(found, skip_special_tokens=False) == text
