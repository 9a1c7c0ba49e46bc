"""Norms are their formulas: in training and inference, with and without weights, with an offset."""

import pytest
import torch
import torch.nn.functional as F

from mypt.model.parts.norm import make_norm

CPU_KERNEL = [(torch.float32, 1e-5), (torch.float64, 1e-12)]


def formula(norm, x):
    """The text of the specification, in float64."""
    x = x.double()
    if norm.kind == "layernorm":
        x = x - x.mean(-1, keepdim=True)
    x = x / torch.sqrt((x * x).mean(-1, keepdim=True) + norm.eps)
    weight = 1.0 if norm.weight is None else norm.weight.double() + norm.offset
    return x * weight + (0.0 if norm.bias is None else norm.bias.double())


@pytest.fixture
def norm_of(tiny):
    def make(kind, width=None, **changed):
        norm = make_norm(tiny(norm_type=kind, **changed), width)
        norm.kind = kind
        with torch.no_grad():
            for parameter in norm.parameters():
                parameter.normal_()
        return norm

    return make


WEIGHTS = [
    {"norm_bias": False},
    {"norm_bias": True},
    {"norm_weight": False},
    {"norm_weight": False, "norm_bias": True},
    {"norm_offset": 1.0},
    {"norm_offset": -0.5, "norm_bias": True},
]


@pytest.mark.parametrize("changed", WEIGHTS, ids=str)
@pytest.mark.parametrize("kind", ["layernorm", "rmsnorm"])
@pytest.mark.parametrize(("dtype", "tolerance"), CPU_KERNEL)
def test_it_is_the_formula_with_its_gradients(norm_of, kind, changed, dtype, tolerance):
    norm = norm_of(kind, **changed).to(dtype)
    x = torch.randn(2, 5, 24, dtype=dtype, requires_grad=True)
    ours, theirs = norm(x), formula(norm, x).to(dtype)
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    with torch.no_grad():  # another way to compute it
        torch.testing.assert_close(norm(x), ours, rtol=tolerance, atol=tolerance)
        one = norm.one_token(None)(x[:, 0])
        torch.testing.assert_close(one, ours[:, 0], rtol=tolerance, atol=tolerance)
    upstream = torch.randn_like(x)
    wanted = (x, *norm.parameters())
    for mine, other in zip(
        torch.autograd.grad(ours, wanted, upstream),
        torch.autograd.grad(theirs, wanted, upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("changed", WEIGHTS, ids=str)
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("size", [0.0, 1e-4, 1.0, 1e4])
def test_one_position_is_normalized_as_among_others(norm_of, changed, rows, size):
    norm = norm_of("rmsnorm", **changed)
    x = torch.randn(rows, 24) * size
    with torch.inference_mode():
        one = norm.one_token(None)(x)
    torch.testing.assert_close(one, formula(norm, x).float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["layernorm", "rmsnorm"])
def test_a_scale_of_one_is_where_it_begins(norm_of, tiny, kind):
    norm = make_norm(tiny(norm_type=kind, norm_offset=1.0))
    assert torch.equal(norm.weight, torch.zeros(24))
    norm.weight.data.normal_()
    norm.reset(torch.Generator())
    assert torch.equal(norm.weight, torch.zeros(24))
    assert torch.equal(make_norm(tiny(norm_type=kind)).weight, torch.ones(24))


@pytest.mark.parametrize("kind", ["layernorm", "rmsnorm"])
def test_it_may_have_another_width(norm_of, kind):
    assert norm_of(kind, 7, norm_bias=True).bias.shape == (7,)
    assert norm_of(kind, 7)(torch.randn(3, 7)).shape == (3, 7)


@pytest.mark.parametrize("kind", ["layernorm", "rmsnorm"])
def test_an_offset_is_added_in_float32_also_to_weights_of_16_bits(norm_of, kind):
    norm = norm_of(kind, norm_offset=1.0).bfloat16()
    norm.weight.data.fill_(2.0**-12)  # 1 + 2 ** -12 is no bfloat16
    x = torch.randn(4, 24, dtype=torch.bfloat16)
    wide = norm_of(kind, norm_offset=1.0)
    wide.weight.data.fill_(2.0**-12)
    if wide.bias is not None:
        wide.bias.data.copy_(norm.bias.float())
    found = norm(x)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, wide(x.float()).bfloat16())


@pytest.mark.parametrize("weight", [True, False])
def test_a_row_of_zeros_has_finite_gradients(norm_of, weight):
    norm = norm_of("rmsnorm", norm_weight=weight)
    x = torch.zeros(1, 3, 24, requires_grad=True)
    norm(x).sum().backward()
    assert x.grad.isfinite().all()


def test_the_fast_kernel_of_training_is_that_of_torch(norm_of):
    norm = norm_of("rmsnorm")
    x = torch.randn(4, 3, 24)
    alone = F.rms_norm(x, (24,), norm.weight, norm.eps)
    torch.testing.assert_close(norm(x.requires_grad_()), alone, rtol=1e-6, atol=1e-6)
