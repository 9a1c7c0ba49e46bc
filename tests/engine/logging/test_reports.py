import math

import pytest
from attrs import evolve

from mypt.engine.logging import reports
from mypt.engine.stopping.ends import End
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import GoldMemory, TrainingConfig, TrainingState
from mypt.plugins import Evaluation
from tests.support.events import eval_event


def test_an_evaluation_has_the_documented_fields_and_rounding():
    event = eval_event(350, general=4.2345678).to_json()
    assert list(event)[:9] == [
        "event",
        "timestamp",
        "iter",
        "elapsed_s",
        "tokens_processed",
        "progress_pct",
        "lr",
        "phase",
        "train_loss",
    ]
    assert event["val_loss"] == 4.123457
    assert event["eval_general"] == 4.234568
    assert event["progress_pct"] == 0.47
    assert event["elapsed_s"] == 912.5


def test_the_beginning_tells_all_settings_and_the_tokens_of_an_update():
    config = GPTConfig(n_layer=3, block_size=8, batch_size=5)
    training = TrainingConfig(grad_accum_steps=2)
    told = reports.training_start(config, training, 10, run_id="r")
    assert (told.config["n_layer"], told.config["grad_accum_steps"]) == (3, 2)
    assert told.config["tokens_per_step"] == 5 * 2 * 8
    assert told.model["total_params"] == 10
    assert told.to_json()["run_id"] == "r"
    assert "run_id" not in reports.training_start(config, training, 10).to_json()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two\nlines"), "two; lines"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 3000), "x" * 2000),
    ],
)
def test_a_failure_says_on_one_line_of_bounded_length_what_happened(error, reason):
    told = reports.failed(7, error)
    assert (told.iter, told.error, told.reason) == (7, "ValueError", reason)


def test_what_was_never_saved_says_where_the_best_model_would_have_been():
    state = TrainingState(step=12, training_config=TrainingConfig())
    assert reports.unsaved(state).message.endswith("the model in memory is that of step 12")
    gold = GoldMemory(best_val_loss=1.25, best_step=9)
    assert reports.unsaved(evolve(state, gold=gold)).message.endswith(
        "; the best was val_loss=1.2500 at step 9"
    )


def test_the_end_has_rates_of_the_known_time_and_every_reason_for_it():
    told = reports.training_complete(
        Evaluation(step=10, train_loss=1.23456789, val_loss=math.nan),
        TrainingConfig(),
        ends=[End("max_tokens", "200 tokens", "more"), End("max_iters", "10 updates", "more")],
        started_at="2026-01-01T00:00:00",
        elapsed_s=2.0,
        tokens_processed=200,
        updates=5,
        best_val_loss=None,
        gold_step=None,
    )
    assert (told.steps_per_sec, told.tokens_per_sec) == (2.5, 100)
    assert (told.final_train_loss, told.final_val_loss) == (1.234568, None)
    assert (told.ended_by, told.reason) == ("max_tokens", "200 tokens; 10 updates")


def test_a_loss_that_is_not_finite_is_none():
    assert [*map(reports.rounded, (1.23456789, math.inf, math.nan, None))] == [
        1.234568,
        None,
        None,
        None,
    ]
