import pytest

from mypt.format.shards.structure import put_together, take_apart

TIED = object()
WEIGHTS = {"a": TIED, "b": object(), "c": TIED}
OPTIMIZER = {
    "optimizer": "adamw",
    "state": {"b": {"step": 3.0, "exp_avg": object()}, "a": {"exp_avg": object()}},
    "param_groups": [{"lr": 0.1, "betas": (0.9, 0.95), "params": ["b", "a"]}],
}


def apart():
    return take_apart(WEIGHTS, OPTIMIZER, is_tensor=lambda v: type(v) is object, identify=id)


def test_what_is_taken_apart_has_each_tensor_once():
    found = apart()
    assert [*found.tensors] == [
        *("model.a", "model.b", "optimizer.b.exp_avg", "optimizer.a.exp_avg"),
    ]
    assert found.content["model"] == {"a": "model.a", "b": "model.b", "c": "model.a"}
    assert found.content["optimizer"]["state"]["b"] == {
        "step": 3.0,
        "exp_avg": "optimizer.b.exp_avg",
    }


def test_put_together_it_is_what_it_was_in_its_order():
    found = apart()
    weights, optimizer = put_together(found.content, found.tensors)
    assert (weights, optimizer) == (WEIGHTS, OPTIMIZER)
    assert [[*weights], [*optimizer["state"]]] == [["a", "b", "c"], ["b", "a"]]


def test_a_tensor_that_is_missing_is_an_error():
    found = apart()
    del found.tensors["model.b"]
    with pytest.raises(KeyError):
        put_together(found.content, found.tensors)
