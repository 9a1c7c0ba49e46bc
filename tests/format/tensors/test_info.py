import pytest

from mypt.format.tensors.info import StorageInfo, TensorInfo


def make_info(shape, stride, offset=0):
    return TensorInfo("float32", shape, stride, "0", offset, 1000)


@pytest.mark.parametrize(
    ("shape", "stride", "offset", "span", "is_contiguous"),
    [
        ((), (), 0, (0, 4), True),
        ((2, 3), (3, 1), 5, (20, 44), True),
        ((2, 3), (1, 2), 0, (0, 24), False),  # transposed
        ((2, 3), (6, 1), 0, (0, 36), False),  # half of the columns
        ((2, 1), (1, 7), 0, (0, 8), True),  # the step of a single column does not matter
        ((0, 3), (3, 1), 9, (0, 0), True),
    ],
)
def test_the_bytes_of_a_view_are_known(shape, stride, offset, span, is_contiguous):
    info = make_info(shape, stride, offset)
    assert (info.span, info.is_contiguous) == (span, is_contiguous)


def test_a_storage_knows_its_size():
    assert StorageInfo("bfloat16", "0", 5).size_bytes == 10
