"""Every line of the logs of real runs is as the published schema says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from mypt.engine.evaluation.divergence import DivergedError
from mypt.engine.logging.events import Eval, GoldBlocked, parse_event
from mypt.engine.logging.reports import training_start
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError
from mypt.format.schema.check import load_schema

KINDS = {
    "training_start",
    "notice",
    "step",
    "eval",
    "saved",
    "phase_switch",
    "gold_checkpoint",
    "gold_blocked",
    "interrupted",
    "training_complete",
}


@pytest.fixture
def validator(root):
    schema = json.loads((root / "schemas" / "v2" / "log_event.schema.json").read_text())
    # What the schema leaves open for later versions is closed here: we write nothing unsaid.
    closed = {"additionalProperties": False}
    for part in ("config", "model"):
        schema["properties"][part] |= closed
    kinds = {kind: load_schema(kind) for kind in ("config", "training_state")}
    state = kinds["training_state"]
    said = schema["properties"]["config"]["properties"]
    settings = kinds["config"]["properties"] | state["$defs"]["training_config"]["properties"]
    said |= {name: {} for name in settings if name not in said}
    schema["properties"]["environment"] = state["properties"]["environment"] | closed
    return Draft202012Validator(schema | closed)


@pytest.fixture
def events(train, in_tmp, text, stop_at, logged):
    """All events of a run with everything: phases, sets, a stop, a resume, gold and no gold."""
    (in_tmp / "dogs.txt").write_text(text.replace("cat", "dog"))
    fields = {
        "curriculum": [
            {"name": "cats", "until_iter": 5, "input_file": "input.txt"},
            {"name": "dogs", "input_file": "dogs.txt"},
        ],
        "eval_sets": {"words": "dogs.txt"},
        "gold_metric": {"val": 2, "words": 1},
        "eval_interval": 3,
    }
    stop_at(4)
    train(**fields)
    stop_at(None)
    train(**fields, gold_guards={"overfit": {"max_ratio": 0.5}})
    return logged()


def test_every_event_of_a_run_is_valid(events, validator):
    assert {event["event"] for event in events} == KINDS
    for event in events:
        assert not list(validator.iter_errors(event)), event


def test_each_event_says_what_has_happened(events):
    def fields(kind, *names):
        return [tuple(e[name] for name in names) for e in events if e["event"] == kind]

    assert fields("eval", "iter", "phase") == [
        (0, "cats"),
        (3, "cats"),
        (6, "dogs"),
        (9, "dogs"),
        (12, "dogs"),
    ]
    assert fields("eval", "tokens_processed") == [(16 * i,) for i in (0, 3, 6, 9, 12)]
    assert fields("eval", "progress_pct") == [(0.0,), (25.0,), (50.0,), (75.0,), (100.0,)]
    assert fields("interrupted", "iter", "folder") == [(4, "checkpoints/cat")]
    assert fields("phase_switch", "iter", "new_phase") == [(5, "dogs")]
    assert [e["config"]["start_step"] for e in events if e["event"] == "training_start"] == [0, 4]
    (done,) = fields("training_complete", "total_steps", "total_tokens")
    assert done == (12, 16 * 12)
    assert all(reason.startswith("overfit: ") for (reason,) in fields("gold_blocked", "reason"))


def test_losses_that_are_not_finite_are_null(train, logged, validator):
    with pytest.raises(DivergedError):
        train(learning_rate=1e30, grad_clip=0, max_iters=4, eval_interval=2)
    (_, *later) = logged(kind="eval")
    assert any(event["val_loss"] is None for event in later)
    for event in logged():
        assert not list(validator.iter_errors(event)), event


def test_a_line_that_was_never_finished_is_dropped_by_the_next_run(train, stop_at, logged):
    stop_at(4)
    train()
    stop_at(None)
    with Path("logs/train/cat_eval.jsonl").open("a") as log:
        log.write('{"event": "eval", "iter": 6, "val_l')
    train()
    assert [event["iter"] for event in logged(kind="eval")] == [0, 6, 12]


@pytest.mark.parametrize("gold_loss", [None, 1.5])
def test_a_class_of_an_event_and_its_json_say_the_same(gold_loss):
    told = [
        training_start(GPTConfig(), TrainingConfig(), 10),
        GoldBlocked(iter=3, val_loss=2.0, gold_loss=gold_loss, best_val_loss=None, reason="x"),
        Eval(
            iter=3,
            elapsed_s=1.0,
            tokens_processed=10,
            progress_pct=0.5,
            lr=0.1,
            phase="default",
            train_loss=None,
            val_loss=2.0,
            eval_losses={"books": 2.5, "duration": None},
            eval_duration_s=0.5,
        ),
    ]
    for event in told:
        document = event.to_json()
        assert parse_event(document | {"of_a_later_version": 1}) == event
        assert ("gold_loss" in document) == (
            document["event"] == "gold_blocked" and bool(gold_loss)
        )
    assert list(told[2].to_json())[-3:] == ["eval_books", "eval_duration", "eval_duration_s"]
    assert parse_event({"event": "of_a_later_version"}) is None


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("val", "is the name of a split"),
        ("train", "is the name of a split"),
        ("duration_s", "has another meaning in the log, as eval_duration_s"),
        ("iters", "has another meaning in the log, as eval_iters"),
        ("interval", "has another meaning in the log, as eval_interval"),
        ("", "is no name that a log or a chart can show"),
        ("a\nb", "is no name that a log or a chart can show"),
    ],
)
def test_a_set_that_no_log_or_chart_could_show_is_refused(name, what, train, in_tmp):
    with pytest.raises(ConfigError, match=re.escape(what)):
        train(eval_sets={name: "input.txt"})
    assert not (in_tmp / "checkpoints").exists()


def test_a_folder_whose_name_means_something_in_the_log_is_refused(train, in_tmp):
    (in_tmp / "iters").mkdir()
    np.tile(np.arange(5, dtype="<u4"), 20).tofile(in_tmp / "iters" / "shard_00000.bin")
    with pytest.raises(ConfigError, match=r"`iters` has another meaning.*name of its folder"):
        train(eval_dataset_dir="iters")
