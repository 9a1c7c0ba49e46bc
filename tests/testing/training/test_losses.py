"""The kit finds nothing wrong with sound losses, and what is wrong with others."""

import itertools

import pytest
import torch
import torch.nn.functional as F

import mypt.model.plugin
from mypt.plugins import LossFactory
from mypt.testing import ContractError, check_loss
from tests.support.loss_plugin import GAMMA, WRONG, build_focal


@pytest.mark.parametrize("options", [{}, {"z_loss": 1e-3}, {"label_smoothing": 1, "z_loss": 0.1}])
def test_nothing_is_wrong_with_what_comes_with_mypt(options):
    (factory,) = mypt.model.plugin.mypt_losses()
    losses = check_loss(factory, options)
    assert losses.shape == (12,)
    assert losses.dtype == torch.float64


def test_nothing_is_wrong_with_the_focal_loss():
    factory = LossFactory("focal", build_focal, options=GAMMA)
    losses = check_loss(factory, {"gamma": 2.0})
    assert (losses < check_loss(factory, {"gamma": 0})).all()


def by_call(_):
    count = itertools.count()
    return lambda logits, targets: F.cross_entropy(logits, targets, reduction="none") + next(count)


def over_batch(_):
    def loss(logits, targets):
        losses = F.cross_entropy(logits, targets, reduction="none")
        return losses / losses.detach().mean()

    return loss


def changes(_):
    def loss(logits, targets):
        targets.zero_()
        return F.cross_entropy(logits, targets, reduction="none")

    return loss


def by_probability(_):
    """The focal loss as it is written down: the logarithm of a probability that may be 0."""

    def loss(logits, targets):
        p = logits.softmax(1).gather(1, targets[:, None])[:, 0]
        return -((1 - p) ** 0.5) * p.log()

    return loss


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda _: None, "returns NoneType, not a function"),
        (by_call, "called twice"),
        (over_batch, "depends on the other positions"),
        (changes, "changes the logits or the targets"),
        (by_probability, "logits up to .*(NaN|infinite) for logits that are finite"),
        *((lambda _, loss=loss: loss, message) for loss, message in WRONG.values()),
    ],
)
def test_a_wrong_loss_is_told_what_it_does_wrong(build, message):
    with pytest.raises(ContractError, match=message):
        check_loss(LossFactory("odd", build))


def test_options_that_its_schema_rejects_are_named():
    with pytest.raises(ContractError, match="rejects the options"):
        check_loss(LossFactory("focal", build_focal, options=GAMMA), {"gamma": -1})
