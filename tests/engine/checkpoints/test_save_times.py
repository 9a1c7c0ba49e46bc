"""When a run saves between evaluations, and what such a save is."""

import json

import pytest

from mypt.engine.checkpoints.save_times import SaveTimes
from mypt.engine.runtime.world import ALONE
from mypt.format.bundle.read import read_bundle
from mypt.format.documents.training import TrainingConfig


def due(steps, **fields):
    times = SaveTimes(TrainingConfig(**fields), ALONE)
    return [step for step in steps if times.is_due(step)]


@pytest.mark.parametrize(("interval", "steps"), [(0, []), (1, [1, 2, 3, 4]), (3, [3])])
def test_a_save_is_due_every_so_many_updates(interval, steps):
    assert due(range(1, 5), save_interval=interval) == steps


def test_minutes_count_from_the_last_save():
    now = [100.0]
    times = SaveTimes(TrainingConfig(save_minutes=0.5), ALONE, clock=lambda: now[0])
    now[0] += 29.9
    assert not times.is_due(1)
    now[0] += 0.1
    assert times.is_due(2)
    assert times.is_due(2)  # until there was one
    times.note_save()
    assert not times.is_due(3)


def test_such_a_save_is_of_the_model_alone_and_one_save_is_made_of_a_step(
    train, in_tmp, monkeypatch
):
    from mypt.engine.checkpoints.checkpointer import Checkpointer

    saved, write = [], Checkpointer.write_own

    def write_own(self, copy, state):
        saved.append((state.step, state.evaluated_step))
        write(self, copy, state)

    monkeypatch.setattr(Checkpointer, "write_own", write_own)
    train(max_iters=10, eval_interval=6, save_interval=3, snapshot_interval=9)
    assert saved == [(0, 0), (3, 0), (6, 6), (9, 6), (10, 10)]
    lines = (in_tmp / "logs" / "train" / "cat_eval.jsonl").read_text().splitlines()
    steps = [event["iter"] for event in map(json.loads, lines) if event["event"] == "eval"]
    assert steps == [0, 6, 10]
    assert read_bundle(in_tmp / "checkpoints" / "cat_gold").training_state.step in (0, 6, 10)
