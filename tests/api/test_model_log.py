"""The last losses of a model are those of its own run, up to the step that it is at."""

import json

import pytest

from mypt.api.model_log import list_log_places, read_last_losses
from mypt.format.documents.training import TrainingConfig, TrainingState


def line(step, val, run="a", **fields):
    event = {"event": "eval", "iter": step, "val_loss": val, "train_loss": 2.0, "run_id": run}
    return json.dumps({**event, **fields}) + "\n"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.jsonl"


def losses_at(log, step, run="a"):
    state = TrainingState(step=step, run_id=run, training_config=TrainingConfig(log_file=str(log)))
    return read_last_losses(log.parent / "model", state)


def test_those_of_other_runs_and_of_later_steps_are_not_taken(log):
    lines = [line(2, 3.5), line(4, 3.0), line(5, 1.0, run="b"), line(6, 2.5), "{torn\n"]
    log.write_text("".join(lines))
    assert losses_at(log, 4) == {"train": 2.0, "val": 3.0}
    assert losses_at(log, 5) == {"train": 2.0, "val": 3.0}
    assert losses_at(log, 9) == {"train": 2.0, "val": 2.5}
    assert losses_at(log, 9, run="b") == {"train": 2.0, "val": 1.0}
    assert losses_at(log, 1) == losses_at(log, 9, run="c") == losses_at(log, 9, run=None) == {}


def test_a_loss_that_was_not_finite_is_left_out(log):
    log.write_text(line(2, None))
    assert losses_at(log, 2) == {"train": 2.0}


def test_without_a_log_or_a_state_nothing_is_known(log, in_tmp):
    assert losses_at(log, 2) == {}
    assert read_last_losses(log.parent / "model", None) == {}


def test_a_log_is_looked_for_as_configured_and_by_name(tmp_path, in_tmp):
    state = TrainingState(step=1, training_config=TrainingConfig(log_file="mine.jsonl"))
    places = [str(path) for path in list_log_places(tmp_path / "checkpoints" / "cat", state)]
    assert places[0] == "mine.jsonl"
    assert places[1] == "logs/train/cat_eval.jsonl"
    assert places[2] == str(tmp_path / "logs" / "train" / "cat_eval.jsonl")
