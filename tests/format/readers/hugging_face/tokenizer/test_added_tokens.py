import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.tokenizer.added_tokens import add_declared_tokens
from mypt.format.readers.hugging_face.tokenizer.declared import read_declared_tokens
from tests.support.counting import count_lines

MODEL = {"type": "BPE", "vocab": {"a": 0, "b": 1, "<s>": 2}, "merges": []}
HELD = {"id": 3, "content": "<x>", "special": False}


def add(tmp_path, config, model=MODEL):
    declared = read_declared_tokens(tmp_path, config)
    made = add_declared_tokens({"model": model, "added_tokens": [HELD]}, declared, "f")
    return made, {token["content"]: token["id"] for token in made["added_tokens"]}


def test_a_token_has_its_id_from_the_vocabulary_or_the_next(tmp_path):
    config = {"bos_token": "<s>", "pad_token": "[PAD]", "extra_special_tokens": ["<y>", "<x>"]}
    made, ids = add(tmp_path, config)
    assert ids == {"<s>": 2, "<x>": 3, "[PAD]": 4, "<y>": 5}
    assert made["model"] is MODEL
    assert [token["special"] for token in made["added_tokens"]] == [True, False, True, True]


def test_a_declared_id_that_is_not_the_next_is_in_the_vocabulary(tmp_path):
    listed = {"9": {"content": "far"}, "4": {"content": "near"}}
    made, ids = add(tmp_path, {"added_tokens_decoder": listed})
    assert ids == {"<x>": 3, "near": 4, "far": 9}
    assert made["model"]["vocab"] == {**MODEL["vocab"], "far": 9}


def test_flags_that_are_declared_win(tmp_path):
    made, _ = add(tmp_path, {"added_tokens_decoder": {"3": {"content": "<x>", "rstrip": True}}})
    assert made["added_tokens"][0]["rstrip"]


@pytest.mark.parametrize("number", ["0", "3"])
def test_an_id_of_another_token_is_refused(number, tmp_path):
    with pytest.raises(FormatError, match=f"gives 'new' the id {number}, which .* has"):
        add(tmp_path, {"added_tokens_decoder": {number: {"content": "new"}}})


def test_many_tokens_are_not_compared_with_all_others(tmp_path):
    def add_listed(count):
        listed = {str(4 + n): {"content": f"t{n}"} for n in range(count)}
        _, ids = add(tmp_path, {"added_tokens_decoder": listed})
        assert ids[f"t{count - 1}"] == count + 3

    lines = count_lines(lambda: add_listed(100))
    assert count_lines(lambda: add_listed(400)) < 5 * lines  # each with each, 16 times
