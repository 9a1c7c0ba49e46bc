import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mypt.format.errors import DataError, FormatError
from mypt.tokenizers.char import CharTokenizer


def test_ids_are_the_places_of_the_sorted_characters():
    tokenizer = CharTokenizer.train("banana\nè")
    assert tokenizer.chars == ("\n", "a", "b", "n", "è")
    assert tokenizer.encode("nab\n") == [3, 1, 2, 0]
    assert tokenizer.n_vocab == tokenizer.vocab_size == 5
    assert tokenizer.token_kind == "char"


def test_the_order_of_given_characters_is_kept():
    tokenizer = CharTokenizer(["z", "a"])
    assert tokenizer.encode("az") == [1, 0]
    assert tokenizer.decode([0, 1]) == "za"


@given(st.text(min_size=1))
def test_what_is_encoded_decodes_to_the_same_text(text):
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode_array(text)
    assert ids.dtype == np.uint32
    assert ids.tolist() == tokenizer.encode(text) == [tokenizer.chars.index(c) for c in text]
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode_bytes(ids) == text.encode()


def test_a_text_longer_than_one_look_up_is_encoded_whole():
    text = "abcdefg" * 400_000 + "h"
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode_array(text)
    assert ids.shape == (len(text),)
    assert tokenizer.decode(ids) == text


def test_no_text_has_no_ids():
    tokenizer = CharTokenizer(["a"])
    assert tokenizer.encode("") == []
    assert tokenizer.encode_array("").shape == (0,)
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize(
    "ids", [[1, 7, -1, 0], np.array([1, 7, -1, 0]), torch.tensor([1, 7, -1, 0])]
)
def test_ids_without_text_become_the_replacement_character(ids):
    assert CharTokenizer(["a", "b"]).decode(ids) == "b\ufffd\ufffda"


def test_ids_may_come_from_any_iterable():
    assert CharTokenizer(["a", "b"]).decode(i % 2 for i in range(3)) == "aba"


@pytest.mark.parametrize(
    ("text", "place", "name"),
    [
        ("ab…", "line 1, column 3", "'…' (U+2026)"),
        ("ab\na\tb", "line 2, column 2", "'\\t' (U+0009)"),
        ("\n\nb😀", "line 3, column 2", "'😀' (U+1F600)"),
        ("a\ud800", "line 1, column 2", "'\\ud800' (U+D800)"),
    ],
)
def test_an_unknown_character_is_named_with_its_place(text, place, name):
    with pytest.raises(DataError) as caught:
        CharTokenizer(["\n", "a", "b"]).encode(text)
    [problem] = caught.value.problems
    assert problem.where == place
    assert problem.what == f"the vocabulary of 3 characters lacks the character {name}"
    str(caught.value).encode()  # a terminal can print it
    assert "\n" not in str(caught.value)


def test_the_first_of_several_unknown_characters_is_named():
    with pytest.raises(DataError, match=r"'x' \(U\+0078\) and 2 more; remove it"):
        CharTokenizer(["a", "b"]).encode("abxzyx")


def test_a_character_beyond_the_highest_known_one_is_unknown():
    with pytest.raises(DataError):
        CharTokenizer(["a"]).encode("b")
    with pytest.raises(DataError):
        CharTokenizer(["a"]).encode("\U0010ffff")


def test_a_surrogate_cannot_enter_a_vocabulary():
    with pytest.raises(DataError, match=r"line 2, column 1: contains the character '\\ud800'"):
        CharTokenizer.train("ab\n\ud800")


def test_a_surrogate_in_a_vocabulary_that_was_read_does_no_harm():
    tokenizer = CharTokenizer.build(json.loads('{"chars": ["a", "\\ud800"]}'))
    assert tokenizer.encode("\ud800a") == [1, 0]
    assert tokenizer.decode([1, 0]) == "\ufffda"
    assert tokenizer.decode_bytes([1, 0]) == "\ufffda".encode()


def test_no_text_makes_no_vocabulary():
    with pytest.raises(DataError, match="no text"):
        CharTokenizer.train("")


def test_a_tokenizer_is_rebuilt_from_its_state():
    tokenizer = CharTokenizer.train('Nel "mezzo"\n\t é😀')
    state = json.loads(json.dumps(tokenizer.state()))
    assert CharTokenizer.build(state) == tokenizer
    assert CharTokenizer.build({**state, "unknown": 1, "plugins": {}}) == tokenizer


@pytest.mark.parametrize("chars", [None, [], "abc", ["a", "a"], ["ab"], [""], [1], {"a": 0}])
def test_a_state_without_distinct_characters_is_refused(chars):
    with pytest.raises(FormatError, match="list of distinct characters"):
        CharTokenizer.build({"token_kind": "char", "chars": chars})


def test_states_of_earlier_programs_give_their_ids(fixtures):
    folder = fixtures / "mypt" / "tokenizer_states"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert len(expected["char_states"]) == 3
    for state in expected["char_states"].values():
        document = json.loads((folder / state["file"]).read_text(encoding="utf-8"))
        tokenizer = CharTokenizer.build(document)
        assert tokenizer.vocab_size == len(document["chars"])
        for text, ids in zip(expected["char_texts"], state["ids"], strict=True):
            assert tokenizer.encode(text) == ids
            assert tokenizer.decode(ids) == text
