import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.readers.adapters.merging import merge_adapters


def make_layer(rank=2, width=3, height=4):
    """Return the tensors of an adapted layer that takes `width` values and gives `height`."""
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "lora_A": (width, rank),
        "lora_B": (rank, height),
        "base_layer.weight": (height, width),
    }
    return {f"up.{n}": torch.randn(s, generator=generator) for n, s in shapes.items()}


@pytest.mark.parametrize("is_transposed", [False, True])
def test_the_merged_layer_computes_the_same(is_transposed):
    tensors = make_layer()
    base, x = tensors["up.base_layer.weight"], torch.arange(3.0)
    wanted = base @ x + (x @ tensors["up.lora_A"] @ tensors["up.lora_B"]) * 6.0 / 2
    if is_transposed:
        tensors["up.base_layer.weight"] = base.t().contiguous()
    merged = merge_adapters(tensors, 6.0, lambda _: is_transposed, "file")
    assert list(merged) == ["up.base_layer.weight"]
    matrix = merged["up.base_layer.weight"]
    torch.testing.assert_close((matrix.t() if is_transposed else matrix) @ x, wanted)


@pytest.mark.parametrize("part", ["lora_A", "lora_B", "base_layer.weight"])
def test_a_part_that_is_missing_is_named(part):
    tensors = make_layer()
    del tensors[f"up.{part}"]
    with pytest.raises(FormatError, match=f"up.{part}: is missing"):
        merge_adapters(tensors, 6.0, lambda _: False, "file")


def test_parts_that_do_not_fit_are_refused():
    tensors = make_layer() | {"up.lora_B": torch.zeros(3, 4)}
    with pytest.raises(FormatError, match="does not fit its adapter"):
        merge_adapters(tensors, 6.0, lambda _: False, "file")
