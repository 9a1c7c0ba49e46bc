import warnings

import numpy as np
import pytest

from mypt.format.tensors.gguf.block_types import BY_NAME
from mypt.format.tensors.gguf.dequantize import DEQUANTIZE

gguf = pytest.importorskip("gguf")


@pytest.mark.parametrize("name", DEQUANTIZE)
def test_every_bit_is_that_of_the_gguf_package(name):
    """Of random blocks, so that scales are also subnormal, infinite and NaN."""
    block = BY_NAME[name]
    blocks = np.random.default_rng(1).integers(0, 256, (4096, block.size_bytes), dtype=np.uint8)
    found = np.empty((len(blocks), block.values), dtype=np.float32)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        DEQUANTIZE[name](blocks, found)
        wanted = gguf.dequantize(blocks, gguf.GGMLQuantizationType[name])
    np.testing.assert_array_equal(
        found.view(np.uint32), wanted.view(np.uint32).reshape(found.shape)
    )


def test_all_types_that_are_not_plain_are_computed():
    assert {name for name, block in BY_NAME.items() if not block.is_plain} == DEQUANTIZE.keys()
