"""Weights of 8 bits: how near they come, by either product."""

import pytest
import torch
from torch import nn

from mypt.model.quantized import (
    Int8Linear,
    has_fbgemm,
    is_quantized,
    make_fbgemm_product,
    make_integer_product,
    quantize,
)

PRODUCTS = [
    make_integer_product,
    pytest.param(
        make_fbgemm_product,
        marks=pytest.mark.skipif(not has_fbgemm(), reason="this PyTorch has no fbgemm"),
    ),
]


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator)


def test_a_model_of_8_bits_comes_near(make_model, ids):
    model = make_model(tie_weights=True, pos_encoding="rope", n_embd=48)
    idx = ids(2, 16)
    expected = model(idx)
    assert not is_quantized(model)
    quantize(model)
    assert is_quantized(model)
    error = (model(idx) - expected).norm() / expected.norm()
    assert 0 < error < 0.05


@pytest.mark.parametrize("make_product", PRODUCTS)
def test_weights_are_rounded_by_half_a_step_at_most(make_product):
    layer = nn.Linear(40, 30, bias=False)
    columns = Int8Linear(layer, make_product)(torch.eye(40))  # 1 is the largest of each row: exact
    step = layer.weight.abs().amax(1) / 127
    assert ((columns - layer.weight.T).abs() <= step / 2 + 1e-7).all()


@pytest.mark.parametrize("make_product", PRODUCTS)
def test_a_layer_comes_near_and_keeps_its_shape(make_product, drawn):
    layer = nn.Linear(40, 30)
    rounded, x = Int8Linear(layer, make_product), drawn(2, 3, 40)
    torch.testing.assert_close(rounded(x), layer(x), rtol=0, atol=0.04)
    assert torch.equal(rounded(torch.zeros(1, 40))[0], layer.bias)


@pytest.mark.parametrize("make_product", PRODUCTS)
def test_the_largest_sums_are_not_cut_off(make_product):
    layer = nn.Linear(512, 4, bias=False)
    layer.weight.data.fill_(1.0)
    for value in (1.0, -1.0):
        out = Int8Linear(layer, make_product)(torch.full((1, 512), value))
        torch.testing.assert_close(out, torch.full((1, 4), 512 * value))


@pytest.mark.parametrize("make_product", PRODUCTS)
def test_a_row_does_not_depend_on_the_others(make_product, drawn):
    rounded, x = Int8Linear(nn.Linear(40, 30), make_product), drawn(5, 40)
    x[1] *= 1000
    alone = torch.cat([rounded(row[None]) for row in x])
    assert torch.equal(rounded(x), alone)


def test_the_engine_that_torch_packs_for_stays_the_callers(make_model):
    before = torch.backends.quantized.engine
    quantize(make_model())
    assert torch.backends.quantized.engine == before
