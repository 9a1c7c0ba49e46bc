import pickle
from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from mypt.format.errors import FormatError
from mypt.format.tensors.torch_dcp.dcp_metadata import Chunk, check_cover, read_metadata
from tests.support.counting import count_lines


def check(shape, *boxes):
    chunks = sorted(
        (Chunk(offsets, sizes, "f", 0, 1) for offsets, sizes in boxes), key=lambda c: c.offsets
    )
    check_cover(chunks, shape, "w", "x")


@pytest.mark.parametrize(
    ("shape", "boxes"),
    [
        ((), [((), ())]),
        ((0,), [((0,), (0,))]),
        ((4, 4), [((0, 0), (4, 4))]),
        ((4, 4), [((0, 0), (2, 4)), ((2, 0), (2, 4))]),
        ((4, 4), [((0, 0), (4, 1)), ((0, 1), (4, 3))]),
        ((4, 4), [((0, 0), (2, 2)), ((0, 2), (2, 2)), ((2, 0), (2, 3)), ((2, 3), (2, 1))]),
        ((4, 4), [((0, 0), (4, 4)), ((4, 0), (0, 4))]),
        ((0, 4), [((0, 0), (0, 4)), ((0, 0), (0, 4))]),
        (
            (3, 3),  # around the one in the middle, so that no cut goes through all
            [
                *(((0, 0), (1, 2)), ((0, 2), (2, 1)), ((1, 0), (2, 1))),
                *(((1, 1), (1, 1)), ((2, 1), (1, 2))),
            ],
        ),
    ],
)
def test_boxes_that_fill_a_tensor_are_taken(shape, boxes):
    check(shape, *boxes)


@pytest.mark.parametrize(
    ("shape", "boxes"),
    [
        ((), [((), ()), ((), ())]),
        ((4, 4), [((0, 0), (3, 4))]),
        ((4, 4), [((0, 0), (2, 4)), ((1, 0), (2, 4))]),
        ((4, 4), [((0, 0), (4, 2)), ((0, 1), (4, 2))]),
        ((4, 4), [((0, 0), (4, 5))]),
        ((4, 4), [((0,), (16,))]),
        ((4, 4), [((0, 0), (2, 2)), ((0, 0), (2, 2)), ((2, 0), (2, 4))]),
    ],
)
def test_boxes_that_do_not_are_refused(shape, boxes):
    with pytest.raises(FormatError):
        check(shape, *boxes)


def test_parts_that_all_begin_in_the_same_row_are_not_compared_with_each_other():
    few, many = ([((0, n), (9, 1)) for n in range(width)] for width in (100, 400))
    lines = count_lines(lambda: check((9, 100), *few))
    assert count_lines(lambda: check((9, 400), *many)) < 5 * lines  # each with each, 16 times


def test_a_tensor_cut_in_more_dimensions_than_any_is_refused():
    boxes = [(offsets, (1,) * 5) for offsets in product((0, 1), repeat=5)]
    with pytest.raises(FormatError, match="cut in more than 4 dimensions"):
        check((2,) * 5, *boxes)


@given(st.data())
def test_boxes_fill_a_tensor_exactly_if_each_value_is_in_one(data):
    shape = (3, 4)
    boxes = []
    for _ in range(data.draw(st.integers(1, 4))):
        offsets = tuple(data.draw(st.integers(0, size)) for size in shape)
        boxes.append(
            (
                offsets,
                tuple(
                    data.draw(st.integers(0, s - o)) for o, s in zip(offsets, shape, strict=True)
                ),
            )
        )
    held = Counter(
        (row, column)
        for (top, left), (height, width) in boxes
        for row in range(top, top + height)
        for column in range(left, left + width)
    )
    if held == Counter(product(range(3), range(4))):
        check(shape, *boxes)
    else:
        with pytest.raises(FormatError, match="overlap or leave gaps"):
            check(shape, *boxes)


@pytest.mark.slow
def test_a_large_model_of_many_ranks_is_read(tmp_path):
    ranks, names = 64, [f"blocks.{n}.weight" for n in range(600)]
    described = {
        name: TensorStorageMetadata(
            TensorProperties(torch.float32),
            torch.Size([ranks, 8]),
            [ChunkStorageMetadata(torch.Size([n, 0]), torch.Size([1, 8])) for n in range(ranks)],
        )
        for name in names
    }
    places = {
        MetadataIndex(name, torch.Size([n, 0]), n): _StorageInfo(f"__{n}_0.distcp", 99 * place, 99)
        for place, name in enumerate(names)
        for n in range(ranks)
    }
    (tmp_path / ".metadata").write_bytes(pickle.dumps(Metadata(described, None, places)))
    found = read_metadata(tmp_path, "x")
    assert [len(tensor.chunks) for tensor in found.values()] == [ranks] * len(names)
