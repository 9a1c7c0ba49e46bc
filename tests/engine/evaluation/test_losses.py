import math

import pytest
import torch

import mypt
from mypt.data.batches.batch import Batch
from mypt.engine.evaluation.losses import evaluate, mean_loss
from mypt.format.documents.training import TrainingConfig
from mypt.plugins.manager import load_plugins

SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 4, "dropout": 0.0}
TRAINING = TrainingConfig(eval_iters=3)


class MaskedLoader(mypt.GPTDataLoader):
    """Weights the targets of its evaluation batches, by the number of the batch."""

    weights = (1.0, 1.0, 1.0)

    def eval_batch(self, split, seed, index):
        x, y, _, _ = super().eval_batch(split, seed, index)
        return Batch(x, y, torch.full(y.shape, self.weights[index]))


@pytest.fixture
def model(text):
    tokenizer = load_plugins().tokenizer("char").train(text)
    return mypt.GPT(mypt.GPTConfig(**SHAPE, vocab_size=tokenizer.vocab_size), tokenizer)


@pytest.fixture
def loader(model, text):
    return MaskedLoader(model.config, model.tokenizer, text=text)


def test_it_is_the_mean_over_all_targets_whatever_batch_they_are_in(model, loader):
    loader.weights = (1.0, 0.0, 0.01)
    batches = [loader.eval_batch("val", TRAINING.seed, index) for index in range(3)]
    x, y, mask = (torch.cat(parts) for parts in zip(*(b[:3] for b in batches), strict=True))
    expected = model.loss(x, y, mask).item()
    assert mean_loss(model, loader, "val", TRAINING) == pytest.approx(expected, rel=1e-6)


def test_a_mean_over_nothing_has_no_value(model, loader, text):
    loader.weights = (0.0, 0.0, 0.0)
    whole = mypt.GPTDataLoader(model.config, model.tokenizer, text=text)
    found = evaluate(model, whole, loader, {"books": loader}, TRAINING, 0)
    assert math.isfinite(found.train_loss)
    assert math.isnan(found.val_loss)
    assert math.isnan(found.eval_losses["books"])
