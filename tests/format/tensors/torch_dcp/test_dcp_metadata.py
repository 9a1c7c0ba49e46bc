import pytest

from mypt.format.errors import FormatError
from mypt.format.tensors.torch_dcp.dcp_metadata import Chunk, check_cover


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
