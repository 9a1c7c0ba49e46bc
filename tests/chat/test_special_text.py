"""What a text spells is never a special token."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mypt.chat.special_text import encode_ordinary, encode_special, find_special_texts
from mypt.format.errors import DataError
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.added_tokens import build_from_state

PLUGINS = load_plugins()
SPECIAL = {"<|end|>": 50257, "<|": 50258, "end|>": 50259, "<|endoftext|>": 50256}
GPT2 = PLUGINS.tokenizer("gpt2").build({"special_token_encoder": SPECIAL})
CHARS = sorted(set("<|endoftext|> abc\n"))
TEXTS = st.lists(st.sampled_from([*SPECIAL, "<", "|", "end", ">", "a ", "\n"])).map("".join)


class Unguarded:
    """A plugin's tokenizer, which reads special tokens in every text."""

    def __init__(self, inner, roles=None):
        self._inner, self._roles = inner, roles

    def encode(self, text):
        return self._inner.encode(text)

    def encode_array(self, text):
        return self._inner.encode_array(text)

    def decode(self, ids):
        return self._inner.decode(ids)

    def state(self):
        return self._inner.state() | ({"special_tokens": self._roles} if self._roles else {})


CHAR = build_from_state(
    {"token_kind": "char", "chars": CHARS, "special_token_encoder": {"<|end|>": 20, "<|": 21}},
    PLUGINS,
)


@pytest.mark.parametrize("tokenizer", [GPT2, Unguarded(GPT2), CHAR, Unguarded(CHAR)])
@given(text=TEXTS)
def test_no_id_is_of_a_special_token_and_the_text_comes_back(tokenizer, text):
    ids = encode_ordinary(tokenizer, text)
    assert ids.dtype == np.uint32
    assert tokenizer.decode(ids.tolist()) == text
    assert not {*ids.tolist()} & {*tokenizer.state()["special_token_encoder"].values()}


def test_a_text_without_special_tokens_has_the_ids_of_encode():
    text = "a common text, <with> |pipes|\n"
    for tokenizer in (GPT2, Unguarded(GPT2)):
        assert encode_ordinary(tokenizer, text).tolist() == GPT2.encode(text)
    assert encode_ordinary(GPT2, "").tolist() == []


def test_a_token_with_a_role_is_special_and_what_stands_for_the_unknown_is_not():
    plain = PLUGINS.tokenizer("gpt2").build({})
    roles = {"turn_end": GPT2.encode("<|end|>"), "unk": plain.encode(" the")[0], "user": 198}
    assert find_special_texts(Unguarded(GPT2, roles)) == SPECIAL
    assert encode_ordinary(Unguarded(plain, roles), " the\n").tolist() == plain.encode(" the\n")


def test_what_becomes_a_special_token_without_spelling_it_is_refused():
    class Folding(Unguarded):
        """Reads wide characters as narrow ones, as some normalise a text."""

        def encode_array(self, text):
            return super().encode_array(text.replace("\N{FULLWIDTH LESS-THAN SIGN}", "<"))

    with pytest.raises(DataError, match=r"becomes the special token .*, although it does"):
        encode_ordinary(Folding(GPT2), "a \N{FULLWIDTH LESS-THAN SIGN}|end|>")


def test_special_tokens_that_a_tokenizer_does_not_read_itself_are_read_where_allowed():
    text = "a<|endoftext|>b <|end|>"
    assert encode_special(GPT2, text)[:3] == [64, 50256, 65]
    assert encode_special(GPT2, "ab") == GPT2.encode("ab")
    assert 50256 not in encode_ordinary(GPT2, text)
