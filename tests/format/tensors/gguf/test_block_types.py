import pytest

from mypt.format.tensors.gguf.block_types import BLOCK_TYPES, TYPE_NAMES

gguf = pytest.importorskip("gguf")


def test_types_and_sizes_are_those_of_the_gguf_package():
    sizes = {
        int(kind): (kind.name, *size)
        for kind, size in gguf.GGML_QUANT_SIZES.items()
        if int(kind) in BLOCK_TYPES
    }
    held = {n: (block.name, block.values, block.size_bytes) for n, block in BLOCK_TYPES.items()}
    assert held == sizes
    names = {int(kind): kind.name for kind in gguf.GGMLQuantizationType}
    assert {**TYPE_NAMES, **{n: block.name for n, block in BLOCK_TYPES.items()}} == {
        **names,
        **TYPE_NAMES,  # the package may drop one
    }
