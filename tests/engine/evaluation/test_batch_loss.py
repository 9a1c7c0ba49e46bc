import math

import pytest
import torch

from mypt.data.batches.batch import Batch, PairBatch
from mypt.engine.evaluation.batch_loss import batch_loss, preference_loss
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig
from mypt.model.transformer import Transformer

CONFIG = GPTConfig(vocab_size=11, block_size=6, n_layer=1, n_head=2, n_embd=8)


@pytest.fixture
def model(plugins):
    torch.manual_seed(0)
    made = Transformer(CONFIG, plugins).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.3)
    return made


@pytest.fixture
def answers():
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randint(11, (4, 6), generator=generator) for _ in range(2))
    mask = torch.zeros(4, 6)
    mask[:, 3:5], mask[1, 5] = 1, 0.5
    return Batch(x, y, mask)


def test_log_likelihoods_are_those_of_the_logits(model, answers):
    losses = torch.nn.functional.cross_entropy(
        model(answers.x).flatten(0, 1), answers.y.flatten(), reduction="none"
    )
    expected = -(losses.view(4, 6) * answers.mask).sum(1)
    found = model.log_likelihoods(answers.x, answers.y, answers.mask)
    torch.testing.assert_close(found, expected)
    whole = model.log_likelihoods(answers.x, answers.y)
    torch.testing.assert_close(whole, -losses.view(4, 6).sum(1))


def test_pairs_that_the_reference_has_just_so_cost_log_two_each(model, answers):
    likelihoods = model.log_likelihoods(answers.x, answers.y, answers.mask).detach()
    pairs = PairBatch.of(answers, likelihoods[::2] - likelihoods[1::2])
    loss = batch_loss(model, pairs, TrainingConfig(dpo_beta=0.3))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)
    assert pairs.count_targets() == 2


def test_the_loss_of_pairs_is_that_of_the_paper():
    likelihoods, reference = torch.tensor([-3.0, -5.0, -4.0, -1.0]), torch.tensor([1.0, 0.5])
    expected = [-math.log(1 / (1 + math.exp(-0.2 * d))) for d in (2 - 1, -3 - 0.5)]
    assert float(preference_loss(likelihoods, reference, 0.2)) == pytest.approx(sum(expected) / 2)


def test_a_step_makes_chosen_answers_likelier_than_rejected_ones(model, answers):
    before = model.log_likelihoods(answers.x, answers.y, answers.mask).detach()
    pairs = PairBatch.of(answers, before[::2] - before[1::2])
    batch_loss(model, pairs, TrainingConfig()).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.01 * parameter.grad
    after = model.log_likelihoods(answers.x, answers.y, answers.mask)
    assert bool((after[::2] - after[1::2] > before[::2] - before[1::2]).all())


def test_other_batches_have_the_loss_of_their_tokens(model, answers):
    expected = model.loss(answers.x, answers.y, answers.mask)
    assert torch.equal(batch_loss(model, answers, TrainingConfig()), expected)
    moved = PairBatch.of(answers, torch.zeros(2)).to(torch.device("cpu"))
    assert isinstance(moved, PairBatch)
    assert torch.equal(moved.reference, torch.zeros(2))
