import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.readers.containers.selection import find_tokenizer, select_tensors

HELD = {"model.a": torch.ones(1), "model.b": torch.ones(2), "ema.a": torch.ones(3), "step": 3}


@pytest.mark.parametrize("prefix", ["model", "model."])
def test_a_prefix_chooses_and_is_taken_off(prefix):
    tensors, notes = select_tensors(HELD, HELD, prefix, "x")
    assert {name: tensor.numel() for name, tensor in tensors.items()} == {"a": 1, "b": 2}
    assert notes == ("2 entries whose names do not begin with `model.` are left out",)


def test_what_is_chosen_has_to_be_tensors():
    with pytest.raises(FormatError, match="step: is a int, not a tensor"):
        select_tensors(HELD, HELD, None, "x")
    with pytest.raises(FormatError, match=r"no tensor whose name begins with mode\.; it has model"):
        select_tensors(HELD, HELD, "mode", "x")


def test_what_ids_stand_for_is_told_or_asked_for():
    report = []
    assert find_tokenizer("x", 3, {"tokenizer": "none"}, report) is None
    assert find_tokenizer("x", 3, {"chars": "abc"}, report)["token_kind"] == "char"
    with pytest.raises(FormatError, match="does not say what its 3 ids stand for"):
        find_tokenizer("x", 3, {}, report)
