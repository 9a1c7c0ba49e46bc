import pytest
import torch
import torch.nn.functional as F

from mypt.model.quantized import Int8Linear, quantize
from mypt.plugins import LinearHead

SCALED = {"logit_scale": 0.5, "logit_soft_cap": 3.0}


@pytest.mark.parametrize("changed", [{"logit_scale": 0.25}, {"logit_soft_cap": 2.0}, SCALED])
def test_logits_are_multiplied_and_then_bounded(make_model, ids, changed):
    idx, plain, model = ids(2, 9), make_model(), make_model(**changed)
    wanted = plain(idx) * changed.get("logit_scale", 1.0)
    cap = changed.get("logit_soft_cap")
    if cap is not None:
        wanted = cap * (wanted / cap).tanh()
        assert model(idx).abs().max() < cap
    torch.testing.assert_close(model(idx), wanted)
    torch.testing.assert_close(model.next_logits(idx), wanted[:, -1])


@pytest.mark.parametrize("vocab_size", [31, 2000])
@pytest.mark.parametrize("changed", [{}, SCALED])
def test_the_loss_is_that_of_the_logits(make_model, ids, vocab_size, changed):
    model = make_model(vocab_size=vocab_size, **changed)
    idx, targets = ids(2, 9), ids(2, 9)
    wanted = F.cross_entropy(model(idx).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(model.loss(idx, targets), wanted)


@pytest.mark.parametrize("tied", [False, True])
def test_in_8_bits_the_logits_are_about_the_same(make_model, ids, tied):
    model = make_model(tie_weights=tied, **SCALED)
    idx = ids(2, 9)
    wanted = model(idx)
    quantize(model)
    assert isinstance(model.lm_head.layer, Int8Linear)
    assert (model(idx) - wanted).abs().max() < 0.3


def test_a_plain_head_is_one_linear_layer_in_8_bits(make_model):
    model = make_model()
    assert isinstance(model.lm_head, LinearHead)
    quantize(model)
    assert isinstance(model.lm_head, Int8Linear)
