import json

import numpy as np
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from mypt.format.errors import FormatError
from mypt.tokenizers import gpt2
from mypt.tokenizers.gpt2 import Gpt2Tokenizer

PLAIN = Gpt2Tokenizer()
TAGS = Gpt2Tokenizer({"<a>": 50257, "</a>": 50258, "<a><b>": 50259, "<far>": 51000})
# characters at which GPT-2's pieces begin and end, so that cuts meet all of them
AWKWARD = st.text(alphabet="aZ9é中'! \t\n\r\x0b\x1c\x85\xa0\u200b\u2028\u3000😀s", max_size=60)


# OpenAI's own pattern, and the whole text at once
REFERENCE = tiktoken.Encoding(
    "reference",
    pat_str=r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    mergeable_ranks=gpt2._load_ranks(),
    special_tokens={"<|endoftext|>": 50256},
)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("hello world", [31373, 995]),
        ("<|endoftext|>", [27, 91, 437, 1659, 5239, 91, 29]),
        (" the  cat's\n\n42", [262, 220, 3797, 338, 198, 198, 3682]),
        ("\x00", [188]),
    ],
)
def test_text_becomes_the_ids_of_gpt2(text, ids):
    assert PLAIN.encode(text) == ids == REFERENCE.encode_ordinary(text)
    assert PLAIN.decode(ids) == text


@given(st.text() | AWKWARD)
def test_what_is_encoded_decodes_to_the_same_text(text):
    ids = PLAIN.encode_array(text)
    assert ids.dtype == np.uint32
    assert ids.tolist() == PLAIN.encode(text) == REFERENCE.encode_ordinary(text)
    assert PLAIN.decode(ids) == text
    assert TAGS.decode(TAGS.encode(text)) == text


@given(AWKWARD, st.integers(0, 20))
def test_where_a_long_text_is_cut_does_not_show(text, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpt2, "_CHUNK", chunk)
        assert PLAIN.encode(text) == REFERENCE.encode_ordinary(text)


@given(st.lists(st.sampled_from(["<a>", "</a>", "<b>", "<far>", "<", " a", "b>"]) | AWKWARD))
def test_special_tokens_are_found_among_any_text(words):
    text = "".join(words)
    ids = TAGS.encode(text)
    assert TAGS.decode(ids) == text
    assert ids.count(51000) == text.count("<far>")


def test_the_longest_special_token_wins():
    assert TAGS.encode("<a><b>") == [50259]
    assert TAGS.encode("<a> <b></a>") == [50257, *PLAIN.encode(" <b>"), 50258]


def test_text_around_special_tokens_is_encoded_piece_by_piece():
    assert TAGS.encode("one<a> two") == [*PLAIN.encode("one"), 50257, *PLAIN.encode(" two")]


@pytest.mark.parametrize("unit", ["a", " ", "\n", "!", "0", "中", "ab", " \n", "\u3000", "'s"])
def test_a_million_of_anything_is_encoded(unit):
    run = unit * (1_000_000 // len(unit))
    for text in (run, f"x{run}y"):
        assert PLAIN.decode(PLAIN.encode_array(text)) == text


def test_the_end_of_text_has_a_text_but_does_not_come_out_of_one():
    assert PLAIN.decode([50256]) == "<|endoftext|>"
    assert 50256 not in PLAIN.encode("a<|endoftext|>b")


def test_a_checkpoint_may_make_the_end_of_text_special():
    tokenizer = Gpt2Tokenizer.build({"special_token_encoder": {"<|endoftext|>": 50256}})
    assert tokenizer.encode("a<|endoftext|>") == [64, 50256]
    assert tokenizer.n_vocab == 50257


def test_every_id_of_the_base_vocabulary_has_bytes_of_its_own():
    texts = [PLAIN.decode_bytes([number]) for number in range(50257)]
    assert len(set(texts)) == 50257
    assert b"".join(texts).count(b"<|endoftext|>") == 1


def test_ids_without_text_become_the_replacement_character():
    assert PLAIN.decode([64, 50257, 50303, 10**9, -1]) == "a" + "\ufffd" * 4
    assert TAGS.decode([50257, 50260, 51000]) == "<a>\ufffd<far>"


def test_bytes_may_end_inside_a_character():
    ids = PLAIN.encode("中😀")
    assert PLAIN.decode_bytes(ids) == "中😀".encode()
    assert PLAIN.decode_bytes(ids[:-1]) == "中😀".encode()[:-1]
    assert PLAIN.decode(ids[:-1]) == "中\ufffd"


@pytest.mark.parametrize("text", ["\ud800", "a\udfff b", "\n \ud800" * 3])
def test_a_lone_surrogate_becomes_the_replacement_character(text):
    assert PLAIN.decode(PLAIN.encode(text)) == text.replace("\ud800", "\ufffd").replace(
        "\udfff", "\ufffd"
    )


def test_vocabulary_sizes():
    assert (PLAIN.n_vocab, PLAIN.vocab_size) == (50257, 50304)
    assert (TAGS.n_vocab, TAGS.vocab_size) == (51001, 51001)
    assert Gpt2Tokenizer({"<a>": 50303}).vocab_size == 50304


def test_a_tokenizer_is_rebuilt_from_its_state():
    state = json.loads(json.dumps(TAGS.state()))
    assert Gpt2Tokenizer.build(state) == TAGS
    assert state["chars"] is None
    assert Gpt2Tokenizer.build({"token_kind": "gpt2", "model_vocab_size": 50304}) == PLAIN


@pytest.mark.parametrize(
    "special", [{"<a>": 50257, "<b>": 50257}, {"<a>": 5}, {"<a>": 50256}, {"<|endoftext|>": 50255}]
)
def test_an_id_with_two_meanings_is_refused(special):
    with pytest.raises(FormatError, match="already taken"):
        Gpt2Tokenizer.build({"special_token_encoder": special})


def states(fixtures):
    folder = fixtures / "mypt" / "tokenizer_states"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    for state in expected["states"].values():
        yield expected, state, json.loads((folder / state["file"]).read_text(encoding="utf-8"))


def test_states_of_earlier_programs_give_their_ids(fixtures):
    seen = 0
    for expected, state, document in states(fixtures):
        # what the tokens of a state without a map were is for the reader of old files to say
        if "special_token_encoder" not in document and state["era_commit"][:7] != "96b025a":
            continue
        seen += 1
        tokenizer = Gpt2Tokenizer.build(document)
        for text, ids in zip(expected["texts"], state["ids_in_writing_release"], strict=True):
            assert tokenizer.encode(text) == ids
            assert tokenizer.decode(ids) == text
    assert seen == 4


def test_single_ids_decode_as_in_the_release_that_wrote_the_state(fixtures):
    for expected, state, document in states(fixtures):
        if "special_token_encoder" in document:
            tokenizer = Gpt2Tokenizer.build(document)
            texts = state["probe_decode_in_writing_release"]
            for number, text in zip(expected["probe_ids"], texts, strict=True):
                has_text = text is not None and not text.startswith("<unk_tok")
                assert tokenizer.decode([number]) == (text if has_text else "\ufffd")


def test_a_prompt_of_a_real_checkpoint_gives_its_ids(fixtures):
    folder = fixtures / "mypt" / "gpt2_special"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    tokenizer = Gpt2Tokenizer.build(json.loads((folder / "tokenizer.json").read_text()))
    assert tokenizer.n_vocab == 50276
    assert tokenizer.encode(expected["prompt_text"]) == expected["prompt_ids"]
    assert tokenizer.decode(expected["greedy_ids"]) == expected["greedy_text"]
