"""Dropout zeroes as often as it says, keeps the mean, and is drawn from torch's generator."""

import pytest
import torch

from mypt.plugins.nn.dropout import dropout


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_values_become_zero_as_often_as_asked_for(p):
    torch.manual_seed(0)
    dropped = dropout(torch.ones(1000, 1001), p)
    assert (dropped == 0).double().mean().item() == pytest.approx(p, abs=0.003)
    assert dropped.double().mean().item() == pytest.approx(1.0, rel=0.01)
    assert dropped.unique().numel() == 2


def test_every_place_is_dropped_as_often_as_any_other():
    """Four values share a random word; none of its quarters is worse than the others."""
    torch.manual_seed(0)
    zeros = torch.stack([dropout(torch.ones(8), 0.3) == 0 for _ in range(20_000)]).double()
    assert zeros.mean(0) == pytest.approx(torch.full((8,), 0.3).double(), abs=0.02)
    correlations = torch.corrcoef(zeros.T) - torch.eye(8)
    assert correlations.abs().max() < 0.04


def test_the_same_seed_drops_the_same_values():
    x = torch.randn(3, 5, 7)
    torch.manual_seed(1)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.manual_seed(1)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(first, second)


def test_the_gradient_passes_where_the_value_does():
    x = torch.randn(4, 9, dtype=torch.float64, requires_grad=True)
    dropped = dropout(x, 0.25)
    dropped.sum().backward()
    assert torch.allclose(x.grad * x, dropped)


def test_no_dropout_leaves_the_values_and_the_generator_alone():
    x = torch.randn(5)
    state = torch.get_rng_state()
    assert torch.equal(dropout(x, 0.0), x)
    assert torch.equal(torch.get_rng_state(), state)


def test_dropping_almost_everything_still_gives_finite_values():
    assert dropout(torch.ones(100), 0.999999).isfinite().all()


def test_training_with_dropout_sees_nothing_of_the_future(make_model):
    model = make_model(dropout=0.4).train()
    idx = torch.randint(model.config.vocab_size, (2, model.config.block_size))
    other = idx.clone()
    other[:, 5:] = (idx[:, 5:] + 1) % model.config.vocab_size
    logits = []
    for ids in (idx, other):
        torch.manual_seed(3)
        logits.append(model(ids))
    assert torch.equal(logits[0][:, :5], logits[1][:, :5])
    assert not torch.equal(logits[0], logits[1])
