import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mypt.chat.special_text import encode_ordinary
from mypt.data.batches import text_ids
from mypt.data.batches.text_ids import encode_text
from mypt.format.errors import DataError
from mypt.plugins.manager import load_plugins

FACTORIES = load_plugins()
GPT2 = FACTORIES.tokenizer("gpt2").build(
    {"special_token_encoder": {"<|end|>": 50257, "a b": 50258}}
)
TEXTS = st.lists(st.text(st.sampled_from("ab <|end>\nè😀\t")).map(lambda text: text * 3))


class Indivisible:
    """A tokenizer that does not say where a text may be cut."""

    def __init__(self, inner):
        self.encode_array, self.calls = self._encode, []
        self._inner = inner

    def state(self):
        return self._inner.state()

    def _encode(self, text):
        self.calls.append(text)
        return self._inner.encode_array(text)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(text_ids, "_BLOCK", 16)


@pytest.mark.parametrize("kind", ["char", "gpt2"])
@given(pieces=TEXTS)
def test_the_ids_are_those_of_the_whole_text_however_it_is_divided(kind, pieces):
    whole = "".join(pieces)
    tokenizer = GPT2 if kind == "gpt2" else FACTORIES.tokenizer("char").train(f"{whole} ")
    ids = encode_text(pieces, tokenizer, tokenizer.vocab_size, "a text")
    assert ids.tolist() == encode_ordinary(tokenizer, whole).tolist()
    assert tokenizer.decode(ids) == whole
    assert not {50257, 50258} & {*ids.tolist()} or kind == "char"
    assert encode_text([whole], tokenizer, tokenizer.vocab_size, "a text").tolist() == ids.tolist()


@pytest.mark.parametrize(
    ("vocab_size", "dtype"),
    [(2, "u1"), (256, "u1"), (257, "u2"), (65536, "u2"), (65537, "u4"), (2**32, "u4")],
)
def test_an_id_takes_as_few_bytes_as_the_vocabulary_allows(vocab_size, dtype):
    tokenizer = FACTORIES.tokenizer("char").train("ab")
    ids = encode_text(["ab" * 99], tokenizer, vocab_size, "a text")
    assert ids.dtype == np.dtype(dtype)
    assert ids.tolist() == [0, 1] * 99


def test_an_id_beyond_the_vocabulary_is_never_wrapped_around():
    tokenizer = FACTORIES.tokenizer("char").train("".join(map(chr, range(300))))
    with pytest.raises(DataError, match="a text: holds the id 299, but vocab_size is 256"):
        encode_text(["\x00" * 99 + chr(299)], tokenizer, 256, "a text")


def test_a_tokenizer_that_names_no_place_to_cut_gets_the_whole_text():
    tokenizer = Indivisible(FACTORIES.tokenizer("char").train("ab"))
    assert len(encode_text(["ab" * 20, "b"], tokenizer, 2, "a text")) == 41
    assert tokenizer.calls[-1] == "ab" * 20 + "b"


def test_a_text_without_a_place_to_cut_is_not_searched_over_and_over(monkeypatch):
    searched = []
    cut = type(GPT2).cut
    monkeypatch.setattr(
        type(GPT2),
        "cut",
        lambda self, text, start: searched.append(len(text)) or cut(self, text, start),
    )
    assert len(encode_text(["x" * 10] * 1000, GPT2, 50304, "a text")) > 0
    assert sum(searched) < 40_000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ab\n" * 40 + "aΩ", "line 41, column 2"),
        ("ab" * 40 + "Ω", "line 1, column 81"),
        ("ab\n" + "ab" * 40 + "Ω\n", "line 2, column 81"),
        ("Ω", "line 1, column 1"),
    ],
)
def test_a_character_that_the_vocabulary_lacks_is_named_by_its_place(text, place):
    tokenizer = FACTORIES.tokenizer("char").train("ab\n")
    with pytest.raises(DataError) as caught:
        encode_text([text], tokenizer, 3, "a text")
    assert str(caught.value).startswith(f"a text {place}: the vocabulary of 3 characters lacks")


@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_little_but_the_ids_is_in_memory(kind, monkeypatch):
    monkeypatch.setattr(text_ids, "_BLOCK", 1 << 16)
    tokenizer = GPT2 if kind == "gpt2" else FACTORIES.tokenizer("char").train("the cat è 😀\n")
    encode_text(["the cat"], tokenizer, tokenizer.vocab_size, "a text")
    lines = ("the cat 😀 the cat è\n" for _ in range(200_000))
    tracemalloc.start()
    ids = encode_text(lines, tokenizer, tokenizer.vocab_size, "a text")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids.nbytes > 2e6
    assert peak < 1.3 * ids.nbytes + 3e6
