import pytest
import torch

from mypt.format.documents.config import GPTConfig
from mypt.format.readers.shared.tensor_source import (
    RowOrder,
    TensorSource,
    scale_queries,
    source_shapes,
    split_tensors,
    take_tensor,
)
from mypt.format.tensors.values import describe_all

WIDE = torch.arange(24.0).reshape(8, 3)
PAIRS = RowOrder(8, (slice(0, 8, 2), slice(1, 8, 2)))
CASES = {
    "as it is": TensorSource(("a",)),
    "transposed": TensorSource(("a",), transposed=True),
    "joined": TensorSource(("a", "b")),
    "joined, each transposed": TensorSource(("a", "b"), transposed=True),
    "with shares": TensorSource(("a", "b", "c"), shares=(2, 1, 1)),
    "in another order": TensorSource(("a",), rows=PAIRS),
    "with a factor": TensorSource(
        ("a",), rows=RowOrder(8, (slice(0, 2), slice(2, 8)), (0.25, 1.0))
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_split_is_taken_together_again(name):
    source = CASES[name]
    held = split_tensors({"ours": source}, {"ours": WIDE})
    assert {n: tuple(t.shape) for n, t in held.items()} == source_shapes(source, (8, 3))
    assert torch.equal(take_tensor(source, held), WIDE)
    described = take_tensor(source, describe_all(held))
    assert described.shape == (8, 3)


def test_two_tensors_may_be_parts_of_one():
    gate, up = WIDE[:4], WIDE[4:] + 100
    sources = {
        "gate": TensorSource(("both",), rows=RowOrder(8, (slice(0, 4),))),
        "up": TensorSource(("both",), rows=RowOrder(8, (slice(4, 8),))),
    }
    held = split_tensors(sources, {"gate": gate, "up": up})
    assert torch.equal(held["both"], torch.cat([gate, up]))
    assert torch.equal(take_tensor(sources["up"], held), up)


def test_rows_that_nothing_takes_are_zero():
    source = TensorSource(("a",), rows=RowOrder(10, (slice(2, None),)))
    held = split_tensors({"ours": source}, {"ours": WIDE})
    assert not held["a"][:2].any()
    assert torch.equal(take_tensor(source, held), WIDE)


def test_moments_change_against_the_factor_of_the_weights():
    source = CASES["with a factor"]
    ones = {"a": torch.ones(8, 1)}
    assert take_tensor(source, ones, -1).flatten().tolist() == [4.0] * 2 + [1.0] * 6
    assert take_tensor(source, ones, -2).flatten().tolist() == [16.0] * 2 + [1.0] * 6


def test_a_factor_is_on_the_queries_alone():
    config = GPTConfig(n_embd=8, n_head=4, n_kv_head=2)
    source = scale_queries(TensorSource(("x",)), config, 0.5)
    taken = take_tensor(source, {"x": torch.ones(16, 3)})
    assert taken[:8].unique().tolist() == [0.5]
    assert taken[8:].unique().tolist() == [1.0]
