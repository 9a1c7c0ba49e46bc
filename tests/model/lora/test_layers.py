import pytest
import torch
from torch import nn

from mypt.format.adapters.places import Place
from mypt.format.documents.config_parts.adapter import Adapter
from mypt.model.lora.layers import LoraLinear, LoraParts

ADAPTER = Adapter(rank=2, alpha=6.0, targets=("q",), base="base", base_sha256="")
PLACES = (Place("sa.qkv", "q", 0, 3, 5), Place("sa.qkv", "v", 4, 2, 5))


@pytest.fixture(params=[LoraLinear, LoraParts])
def layer(request):
    torch.manual_seed(0)
    base = nn.Linear(5, 6)
    if request.param is LoraLinear:
        return LoraLinear(base, ADAPTER)
    return LoraParts(base, PLACES, ADAPTER)


def fill(layer):
    for name, parameter in layer.named_parameters():
        if "lora" in name:
            nn.init.normal_(parameter)


def test_an_adapter_of_zeros_adds_nothing(layer):
    x = torch.randn(2, 3, 5)
    assert torch.equal(layer(x), layer.base(x))


def test_the_merged_matrix_does_the_same(layer):
    fill(layer)
    x = torch.randn(2, 3, 5)
    merged = nn.functional.linear(x, layer.merged(), layer.base.bias)
    assert not torch.allclose(merged, layer.base(x))
    torch.testing.assert_close(layer(x), merged)
    torch.testing.assert_close(layer.one_token(lambda base: base)(x), merged)


def test_rows_without_an_adapter_stay_as_they_are():
    layer = LoraParts(nn.Linear(5, 6), PLACES, ADAPTER)
    fill(layer)
    same = (layer.merged() == layer.base.weight).all(dim=1)
    assert same.tolist() == [False, False, False, True, False, False]
