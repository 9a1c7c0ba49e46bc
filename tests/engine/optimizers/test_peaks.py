import pytest
import torch

import mypt
from mypt.engine.optimizers.peaks import largest_peak, note_peaks, scale_peaks

SHAPE = {"block_size": 8, "vocab_size": 50, "n_embd": 16, "n_head": 2, "n_layer": 1, "dropout": 0.0}


@pytest.fixture
def model():
    return mypt.GPT(mypt.GPTConfig(**SHAPE))


def test_the_largest_rate_is_that_of_the_run_and_the_others_keep_their_ratio(model):
    first, *rest = model.parameters()
    groups = [{"params": [first], "lr": 0.1}, {"params": rest, "lr": 0.02, "initial_lr": 0.4}]
    optimizer = torch.optim.AdamW([*groups, {"params": []}], lr=9.0)
    assert largest_peak(optimizer) == 0.4
    scale_peaks(optimizer, 0.4)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.4, 0.4]
    scale_peaks(optimizer, 0.2)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.05, 0.2, 0.2]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.02, 9.0]


def test_rates_of_zero_are_all_the_same(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    scale_peaks(optimizer, 0.3)
    assert optimizer.param_groups[0]["initial_lr"] == 0.3


def test_a_group_without_a_peak_begins_at_its_rate(model):
    first, *rest = model.parameters()
    groups = [{"params": [first], "lr": 0.1}, {"params": rest, "lr": 0.02, "initial_lr": 0.4}]
    optimizer = torch.optim.AdamW(groups)
    note_peaks(optimizer)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.4]
