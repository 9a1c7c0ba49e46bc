"""Weight decay by the step, in the groups that have one."""

import pytest
import torch

from mypt.engine.schedules.weight_decay import (
    decay_factor_at,
    explain_no_decay,
    scheduled_weight_decay,
)
from mypt.format.documents.training import TrainingConfig


class Plain(torch.optim.Optimizer):
    """An optimizer whose groups have no weight decay."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("cosine", [1, 0.8535533905932737, 0.5, 0.1464466094067262, 0]),
    ],
)
def test_it_falls_to_zero_at_the_end(schedule, factors):
    training = TrainingConfig(max_iters=4, warmup_iters=2, weight_decay_schedule=schedule)
    found = [decay_factor_at(step, training) for step in (0, 1, 2, 3, 9)]
    assert found == pytest.approx(factors, abs=1e-12)


def test_groups_have_theirs_back_also_after_an_error():
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "weight_decay": d} for d in (0.5, 0)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    training = TrainingConfig(max_iters=4, weight_decay_schedule="linear")

    def fail():
        with scheduled_weight_decay(optimizer, 1, training):
            assert [group["weight_decay"] for group in optimizer.param_groups] == [0.375, 0.0]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0]


def test_what_has_no_weight_decay_is_said():
    optimizer = Plain([torch.nn.Parameter(torch.ones(2))])
    training = TrainingConfig(weight_decay_schedule="cosine", optimizer="plain")
    with scheduled_weight_decay(optimizer, 1, training):
        assert "weight_decay" not in optimizer.param_groups[0]
    assert [*explain_no_decay(optimizer, training)] == [
        "weight_decay_schedule cosine has no effect: the groups of the optimizer plain have no "
        "`weight_decay`"
    ]
    assert [*explain_no_decay(optimizer, TrainingConfig())] == []
