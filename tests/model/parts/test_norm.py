"""The root mean square norm of training is that of torch, in its values and its gradients."""

import pytest
import torch
import torch.nn.functional as F

from mypt.model.parts.norm import RmsNorm


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_it_is_the_formula_with_its_gradients(tiny, bias, dtype, tolerance):
    norm = RmsNorm(tiny(norm_type="rmsnorm", norm_bias=bias)).to(dtype)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(2, 5, norm.weight.numel(), dtype=dtype, requires_grad=True)
    ours = norm(x)
    theirs = F.rms_norm(x, norm.weight.shape, norm.weight, norm.eps)
    assert torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    upstream = torch.randn_like(x)
    for mine, other in zip(
        torch.autograd.grad(ours, (x, norm.weight), upstream),
        torch.autograd.grad(theirs, (x, norm.weight), upstream),
        strict=True,
    ):
        assert torch.allclose(mine, other, rtol=tolerance, atol=tolerance)


def test_a_row_of_zeros_has_finite_gradients(tiny):
    norm = RmsNorm(tiny(norm_type="rmsnorm"))
    x = torch.zeros(1, 3, norm.weight.numel(), requires_grad=True)
    norm(x).sum().backward()
    assert x.grad.isfinite().all()


def test_training_and_inference_agree(tiny):
    norm = RmsNorm(tiny(norm_type="rmsnorm"))
    x = torch.randn(4, 3, norm.weight.numel())
    with torch.no_grad():
        alone = norm(x)
    assert torch.allclose(norm(x.requires_grad_()), alone, rtol=1e-6, atol=1e-6)
