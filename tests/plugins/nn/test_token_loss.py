"""A loss that is only known as a function is differentiated in chunks, and checked."""

import pytest
import torch
import torch.nn.functional as F

from mypt.plugins.nn import loss_chunked
from mypt.plugins.nn.loss import output_loss
from mypt.plugins.nn.token_loss import CrossEntropy, Finish, differentiate
from tests.support.loss_plugin import WRONG


def layer():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 9, 8, generator=generator).requires_grad_()
    weight = torch.randn(50, 8, generator=generator).requires_grad_()
    return hidden, weight, torch.zeros(50), torch.randint(50, (3, 9), generator=generator)


def test_the_logits_of_all_positions_never_exist_for_a_loss_of_a_plugin(monkeypatch):
    monkeypatch.setattr(loss_chunked, "CHUNK_ROWS_CPU", 7)
    *tensors, targets = layer()
    seen = []

    def squared(logits, ids):
        seen.append(tuple(logits.shape))
        return F.cross_entropy(logits, ids, reduction="none").square()

    output_loss(*tensors, targets, token_loss=squared).backward()
    assert seen == [(7, 50)] * 3 + [(6, 50)]


def test_options_are_those_of_torch():
    logits, targets = torch.randn(5, 9, dtype=torch.float64), torch.randint(9, (5,))
    found = CrossEntropy(z_loss=0.1, label_smoothing=0.2)(logits, targets)
    wanted = F.cross_entropy(logits, targets, label_smoothing=0.2, reduction="none")
    torch.testing.assert_close(found, wanted + 0.1 * logits.logsumexp(1) ** 2)


@pytest.mark.parametrize("name", WRONG)
def test_what_violates_the_contract_says_how(name):
    loss, message = WRONG[name]
    with pytest.raises((KeyError, TypeError, ValueError), match=message.removeprefix("KeyError: ")):
        differentiate(torch.randn(5, 9), torch.arange(5), None, Finish(token_loss=loss))


def test_a_model_that_has_diverged_is_not_the_fault_of_the_loss():
    logits = torch.full((5, 9), torch.nan)
    finish = Finish(token_loss=lambda logits, ids: logits.gather(1, ids[:, None])[:, 0])
    losses, _ = differentiate(logits, torch.arange(5), None, finish)
    assert losses.isnan().all()
