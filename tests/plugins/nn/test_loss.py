import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from mypt.plugins.nn import loss as loss_module
from mypt.plugins.nn import loss_chunked
from mypt.plugins.nn.loss import output_loss
from mypt.plugins.nn.token_loss import CrossEntropy, finish_logits


@pytest.fixture(params=["plain", "chunked"])
def way(request, monkeypatch):
    """Run a test with full logits and with chunks, of which the last is not full."""
    wide = {"plain": 1 << 40, "chunked": 1}[request.param]
    monkeypatch.setattr(loss_module, "WIDE_VOCABULARY", wide)
    monkeypatch.setattr(loss_chunked, "CHUNK_ROWS_CPU", 7)
    return request.param


def layer(dtype=torch.float32, bias=True):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 9, 8, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(50, 8, generator=generator, dtype=dtype).requires_grad_()
    shift = torch.randn(50, generator=generator, dtype=dtype).requires_grad_() if bias else None
    return hidden, weight, shift, torch.randint(50, (3, 9), generator=generator)


def reference(hidden, weight, bias, targets, mask=None, *, scale=1.0, soft_cap=None, z_loss=0.0):
    logits = F.linear(hidden, weight, bias) * scale
    if soft_cap is not None:
        logits = soft_cap * torch.tanh(logits / soft_cap)
    losses = F.cross_entropy(logits.mT, targets, reduction="none")
    losses = losses + z_loss * logits.logsumexp(-1) ** 2
    return losses.mean() if mask is None else (losses * mask).sum() / mask.sum()


def grads(value, tensors):
    return torch.autograd.grad(value, [tensor for tensor in tensors if tensor is not None])


MASKS = {
    "none": None,
    "fractional": torch.linspace(0, 1, 27).view(3, 9),
    "small": torch.full((3, 9), 0.01),
    "boolean": torch.arange(27).view(3, 9) % 2 == 0,
}


FINISHES = {
    "plain": {},
    "scaled": {"scale": 0.3},
    "capped": {"soft_cap": 4.0},
    "z-loss": {"z_loss": 0.02},
    "all": {"scale": 1.7, "soft_cap": 3.0, "z_loss": 0.01},
}


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mask", MASKS)
def test_loss_and_gradients_are_those_of_full_logits(way, mask, bias, finish):
    *tensors, targets = layer(torch.float64, bias=bias)
    value = output_loss(*tensors, targets, MASKS[mask], **FINISHES[finish])
    expected = reference(*tensors, targets, MASKS[mask], **FINISHES[finish])
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
    # scaled, as by gradient accumulation
    pairs = zip(grads(value / 3, tensors), grads(expected / 3, tensors), strict=True)
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


def test_a_mean_over_nothing_has_no_value_and_teaches_nothing(way):
    *tensors, targets = layer()
    value = output_loss(*tensors, targets, torch.zeros(3, 9))
    assert value.isnan()
    assert all(not gradient.any() for gradient in grads(value, tensors))


@pytest.mark.parametrize("finish", FINISHES)
def test_single_precision_agrees_to_rounding(way, finish):
    *tensors, targets = layer()
    value = output_loss(*tensors, targets, **FINISHES[finish])
    expected = reference(*tensors, targets, **FINISHES[finish])
    torch.testing.assert_close(value, expected)
    for found, wanted in zip(grads(value, tensors), grads(expected, tensors), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("soft_cap", [None, 400.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_a_model_takes_for_impossible_has_its_loss_all_the_same(way, dtype, soft_cap):
    hidden, weight, bias, targets = layer()
    tensors = (hidden.detach() * 20).requires_grad_(), weight, bias
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype != torch.float32):
        value = output_loss(*tensors, targets, soft_cap=soft_cap)
        logits = finish_logits(F.linear(*tensors).float(), 1.0, soft_cap)
        losses = F.cross_entropy(logits.mT, targets, reduction="none")
    assert (losses > 104).any()  # float32 has no such probability
    assert (losses < 60).any()
    tolerance = (
        {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-2, "atol": 0}
    )
    torch.testing.assert_close(value, losses.mean(), **tolerance)
    for found, wanted in zip(grads(value, tensors), grads(losses.mean(), tensors), strict=True):
        assert (found - wanted).norm() <= tolerance["rtol"] * wanted.norm()


@pytest.mark.parametrize("finish", FINISHES)
def test_under_autocast_only_the_products_are_rounded(way, finish):
    *tensors, targets = layer()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = output_loss(*tensors, targets, **FINISHES[finish])
    expected = reference(*tensors, targets, **FINISHES[finish])
    assert value.dtype == torch.float32
    assert value != value.bfloat16()
    assert abs(value - expected) < 0.02 * expected
    for found, wanted in zip(grads(value, tensors), grads(expected, tensors), strict=True):
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < 0.02 * wanted.norm()


def test_many_rows_with_one_right_id_are_not_too_much_for_half_precision():
    hidden = torch.full((512, 8), 200.0, requires_grad=True)
    weight = torch.zeros(2000, 8, requires_grad=True)
    targets = torch.zeros(512, dtype=torch.int64)
    with torch.autocast("cpu", dtype=torch.float16):
        (found,) = grads(output_loss(hidden, weight, None, targets) * 512, [weight])
    (wanted,) = grads(reference(hidden[None], weight, None, targets[None]) * 512, [weight])
    assert wanted.abs().max() > torch.finfo(torch.float16).max
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=0)


@pytest.mark.parametrize("finish", FINISHES)
def test_in_low_precision_as_on_a_gpu_nothing_is_read_that_would_have_to_be_waited_for(way, finish):
    with FakeTensorMode():  # tensors without values: to read one is an error
        *tensors, targets = layer(torch.bfloat16)
        output_loss(*tensors, targets, torch.ones(3, 9), **FINISHES[finish]).backward()
    assert all(tensor.grad is not None for tensor in tensors)


def test_the_backward_pass_can_be_repeated(way):
    *tensors, targets = layer()
    value = output_loss(*tensors, targets)
    first = torch.autograd.grad(value, tensors, retain_graph=True)
    assert all(map(torch.equal, first, grads(value, tensors)))


def test_no_gradient_is_made_where_none_is_wanted(way):
    *tensors, targets = layer()
    with torch.inference_mode():
        value = output_loss(*tensors, targets)
    assert not value.requires_grad
    torch.testing.assert_close(value, reference(*tensors, targets).detach())


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("vocab_size", [31, 5000])
def test_a_model_learns_the_same_from_its_loss_as_from_its_logits(
    make_model, ids, tied, vocab_size
):
    model = make_model(vocab_size=vocab_size, tie_weights=tied).train()
    idx, targets = ids(2, 16), ids(2, 16)
    value = model.loss(idx, targets)
    expected = F.cross_entropy(model(idx).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(value, expected)
    parameters = list(model.parameters())
    for found, wanted in zip(grads(value, parameters), grads(expected, parameters), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_masked_position_teaches_nothing(make_model, ids):
    model = make_model()
    idx, targets = ids(1, 16), ids(1, 16)
    mask = torch.zeros(1, 16)
    mask[:, :8] = 1
    other = targets.clone()
    other[:, 8:] = (other[:, 8:] + 1) % 31
    assert model.loss(idx, targets, mask) == model.loss(idx, other, mask)
    torch.testing.assert_close(
        model.loss(idx, targets, mask), model.loss(idx[:, :8], targets[:, :8])
    )


def test_the_loss_of_a_small_vocabulary_compiles_to_one_graph(make_model, ids):
    model = make_model(pos_encoding="rope", norm_type="rmsnorm", mlp_type="swiglu")
    compiled = torch.compile(model.loss, backend="eager", fullgraph=True)
    idx, targets = ids(2, 16), ids(2, 16)
    torch.testing.assert_close(compiled(idx, targets), model.loss(idx, targets))


TOKEN_LOSSES = {
    "smoothed": CrossEntropy(label_smoothing=0.1),
    "smoothed to nothing": CrossEntropy(label_smoothing=1.0),
    "both": CrossEntropy(z_loss=0.03, label_smoothing=0.2),
    "z-loss": CrossEntropy(z_loss=0.01),
}


def with_options(tensors, targets, mask, loss, *, scale=1.0, soft_cap=None, z_loss=0.0):
    logits = finish_logits(F.linear(*tensors), scale, soft_cap).flatten(0, 1)
    smoothing = loss.label_smoothing
    losses = F.cross_entropy(logits, targets.flatten(), label_smoothing=smoothing, reduction="none")
    losses = losses + (z_loss + loss.z_loss) * logits.logsumexp(1) ** 2
    return losses.mean() if mask is None else (losses * mask.flatten()).sum() / mask.sum()


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("loss", TOKEN_LOSSES)
def test_smoothing_and_z_loss_have_the_value_and_the_gradients_of_torch(way, loss, mask, finish):
    *tensors, targets = layer(torch.float64)
    loss, mask, finish = TOKEN_LOSSES[loss], MASKS[mask], FINISHES[finish]
    expected = with_options(tensors, targets, mask, loss, **finish)
    wanted = grads(expected / 3, tensors)
    # in closed form, and as the loss of a plugin, of which only the function is known
    for given in (loss, lambda logits, ids: loss(logits, ids)):
        value = output_loss(*tensors, targets, mask, token_loss=given, **finish)
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
        for found, right in zip(grads(value / 3, tensors), wanted, strict=True):
            torch.testing.assert_close(found, right, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_smoothing_of_what_a_model_takes_for_impossible(way, dtype):
    hidden, weight, bias, targets = layer()
    tensors = (hidden.detach() * 20).requires_grad_(), weight, bias
    loss = TOKEN_LOSSES["both"]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype != torch.float32):
        value = output_loss(*tensors, targets, token_loss=loss)
        logits = F.linear(*tensors).float().flatten(0, 1)
        expected = loss(logits, targets.flatten()).mean()
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)
    for found, wanted in zip(grads(value, tensors), grads(expected, tensors), strict=True):
        assert (found - wanted).norm() <= tolerance * wanted.norm()


def test_without_options_it_is_the_plain_loss_to_the_bit(way):
    *tensors, targets = layer()
    plain = output_loss(*tensors, targets)
    value = output_loss(*tensors, targets, token_loss=CrossEntropy())
    assert torch.equal(plain, value)
    assert all(map(torch.equal, grads(plain, tensors), grads(value, tensors)))
