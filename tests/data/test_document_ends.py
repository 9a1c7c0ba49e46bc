"""Between documents is the id of `<|endoftext|>`, and in none of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mypt.data.batches.text_ids import encode_documents
from mypt.data.document_ends import DocumentEncoder, find_end_id
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.bare_ids import BareIds

PLUGINS = load_plugins()
END = "<|endoftext|>"
GPT2 = PLUGINS.tokenizer("gpt2")
PLAIN = GPT2.build({})
SPELT = GPT2.build({"special_token_encoder": {END: 50256, "<x>": 50257, "<myPT_eot>": 50258}})
CHAR = PLUGINS.tokenizer("char").train(f"{END}\n abcxyz")


def encode(documents, tokenizer):
    pieces = [[document] for document in documents]
    return encode_documents(pieces, tokenizer, tokenizer.vocab_size, "a text").tolist()


def test_a_tokenizer_has_the_token_or_not():
    assert [find_end_id(one) for one in (PLAIN, SPELT, CHAR, BareIds(9))] == [
        50256,
        50256,
        None,
        None,
    ]
    other = GPT2.build({"special_token_encoder": {"<end>": 50257}})
    assert find_end_id(other) == 50256


def test_it_stands_between_documents_and_not_after_the_last():
    for tokenizer in (PLAIN, SPELT):
        one, two = tokenizer.encode("abc"), tokenizer.encode("xyz\n")
        assert encode(["abc", "xyz\n", "abc"], tokenizer) == [*one, 50256, *two, 50256, *one]
        assert encode(["abc"], tokenizer) == one


def test_others_get_a_newline_where_there_is_none():
    assert encode(["abc", "xyz\n", "abc"], CHAR) == CHAR.encode("abc\nxyz\nabc")


@pytest.mark.parametrize("tokenizer", [PLAIN, SPELT])
@given(
    documents=st.lists(
        st.lists(st.sampled_from([END, "<|", "|>", "<", "a ", "\n", "<x>", "endoftext"])).map(
            "".join
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_document_has_it_and_all_come_back(tokenizer, documents):
    ids = np.array(encode(documents, tokenizer))
    places = np.flatnonzero(ids == 50256)
    assert len(places) == len(documents) - 1
    parts = np.split(ids, places)
    texts = [tokenizer.decode(part[number > 0 :]) for number, part in enumerate(parts)]
    assert texts == documents


def test_no_document_has_another_special_token_either():
    assert DocumentEncoder.of(SPELT).encode("a<x>").tolist() == PLAIN.encode("a<x>")


def test_a_place_in_a_later_document_is_named():
    from mypt.format.errors import DataError

    class Picky:
        """GPT-2's tokenizer, but it refuses a letter."""

        def __getattr__(self, name):
            return getattr(PLAIN, name)

        def encode_ordinary(self, text):
            if "z" in text:
                from mypt.format.errors import Problem

                raise DataError(Problem("", "line 2, column 1", "has a z", "remove it"))
            return PLAIN.encode_ordinary(text)

    with pytest.raises(DataError, match="a text, document 2 line 2, column 1: has a z"):
        encode(["abc", "a\nz"], Picky())
