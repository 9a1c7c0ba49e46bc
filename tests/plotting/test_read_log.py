import json
import math

import pytest

from mypt.engine.logging.log_lines import LogOwner
from mypt.format.errors import FormatError
from mypt.plotting.read_log import read_last_run, read_log, read_run
from mypt.plotting.run import printable


def evaluation(step, val=3.0, **fields):
    return {
        "event": "eval",
        "iter": step,
        "tokens_processed": 100 * step,
        "val_loss": val,
        **fields,
    }


def start(step):
    return {"event": "training_start", "config": {"start_step": step}, "model": {}}


@pytest.fixture
def log(tmp_path):
    """Write a log out of events and of lines as they stand; gives its path."""

    def write(*lines, end="\n"):
        path = tmp_path / "cat_eval.jsonl"
        text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("\n".join(text) + end, encoding="utf-8")
        return path

    return write


def read(path):
    """Read a log of a single run."""
    (run,) = read_log(path)
    return run


def vals(run):
    return [(e.step, e.losses["val"]) for e in run.evaluations]


def test_the_log_of_a_run_is_read_as_it_was_written(bundle):
    run = read_last_run(bundle.parent / "log.jsonl", "cat")
    assert run.name == "cat"
    assert [e.step for e in run.evaluations] == [0, 30, 60]
    assert run.loss_names == ["val", "train"]
    assert all(e.lr is not None for e in run.evaluations)
    assert any(mark.promoted for mark in run.gold)


def test_mypt_s_early_logs_have_no_events(fixtures):
    run = read(fixtures / "mypt" / "logs" / "fused_simple.jsonl")
    assert run.name == "fused_simple"
    assert [e.step for e in run.evaluations] == [0, 25, 50, 75, 100]
    assert run.loss_names == ["val", "general"]
    assert not run.counts_tokens
    assert run.evaluations[-1].lr is None


def test_mypt_s_curriculum_has_phases_and_gold(fixtures):
    run = read(fixtures / "mypt" / "logs" / "modern_curriculum.jsonl")
    assert [(p.step, p.name) for p in run.phases] == [(0, "warm"), (60, "main")]
    assert [m.step for m in run.gold if m.promoted] == [0, 20, 40, 60, 180]
    assert [m.step for m in run.gold if not m.promoted] == [120, 140]
    assert "flapping" in next(m.reason for m in run.gold if not m.promoted)
    assert run.loss_names == ["val", "train", "domain", "general"]
    # MyPT logged the last evaluation in its closing event alone
    assert run.evaluations[-1].step == 220
    assert run.evaluations[-1].losses == {"val": 2.842657, "train": 1.681254}


def test_the_gold_of_mypt_s_final_evaluation_is_at_the_end(fixtures):
    run = read(fixtures / "mypt" / "logs" / "gpt2_chat_gold_blocked.jsonl")
    assert run.gold[-1].step == run.evaluations[-1].step == 45
    assert run.gold[-1].val_loss == run.evaluations[-1].losses["val"]


def test_a_line_that_was_never_finished_is_left_out(log):
    run = read(log(evaluation(0), '{"event": "eval", "iter": 1', end=""))
    assert vals(run) == [(0, 3.0)]


def test_a_last_line_without_newline_counts_when_it_is_whole(log):
    assert len(read(log(evaluation(0), evaluation(1), end="")).evaluations) == 2


def test_an_event_behind_an_unfinished_line_is_found(log):
    glued = '{"event": "eval", "iter": 2' + json.dumps(evaluation(1, 2.5))
    assert vals(read(log(evaluation(0), glued, evaluation(2, 2.0)))) == [
        (0, 3.0),
        (1, 2.5),
        (2, 2.0),
    ]


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "null", "1e999", "1" + "0" * 400]
)
def test_a_loss_that_is_not_finite_is_a_gap(log, value):
    text = '{"iter": 1, "val_loss": %s}'
    run = read(log(evaluation(0), text % value))
    assert math.isnan(run.evaluations[1].losses["val"])


def test_what_a_resumed_run_does_again_replaces_what_it_did(log):
    gold = {"event": "gold_checkpoint", "iter": 20, "val_loss": 1.0}
    run = read(
        log(
            start(0),
            evaluation(0),
            evaluation(10),
            evaluation(20, 1.0),
            gold,
            start(10),
            evaluation(10, 2.9),
            evaluation(20, 2.8),
            evaluation(30, 2.7),
        )
    )
    assert vals(run) == [(0, 3.0), (10, 2.9), (20, 2.8), (30, 2.7)]
    assert run.gold == ()


def test_a_resumed_run_that_says_nothing_of_it_replaces_the_same(log):
    run = read(log(*({"iter": step, "val_loss": step} for step in (0, 1, 2, 1, 2))))
    assert vals(run) == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_a_run_that_has_just_gone_back_ends_where_it_went(log):
    run = read(log(start(0), evaluation(0), evaluation(10), evaluation(20), start(10)))
    assert vals(run) == [(0, 3.0), (10, 3.0)]


def test_an_early_log_that_goes_back_takes_its_gold_along(log):
    gold = {"event": "gold_checkpoint", "iter": 20, "val_loss": 1.0}
    phase = {"event": "phase_switch", "iter": 20, "new_phase": "late"}
    run = read(log(evaluation(0), evaluation(20), gold, phase, evaluation(10)))
    assert (run.gold, run.phases) == ((), ())


def test_gold_before_the_resumed_step_stays(log):
    gold = {"event": "gold_checkpoint", "iter": 10, "val_loss": 3.0}
    run = read(log(start(0), evaluation(10), gold, start(10), evaluation(20)))
    assert [mark.step for mark in run.gold] == [10]


def test_of_two_runs_from_step_0_the_last_one_counts(log):
    run = read(log(start(0), evaluation(0), evaluation(9), start(0), evaluation(0, 7.0)))
    assert vals(run) == [(0, 7.0)]


def of(model_name, run_id, *events):
    return [{**event, "model_name": model_name, "run_id": run_id} for event in events]


@pytest.fixture
def shared(log):
    """A log of two models in turn, after the lines of one that do not say whose they are."""
    first = of("a", "1", start(0), evaluation(0, 1.0), evaluation(10, 1.1))
    second = of("b", "2", start(0), evaluation(0, 2.0), evaluation(10, 2.1), evaluation(20, 2.2))
    again = of("a", "1", start(10), evaluation(20, 1.2))
    return log(start(0), evaluation(0, 9.0), *first, *second, *again)


def test_each_model_of_a_log_is_a_run_of_its_own(shared):
    assert [(run.name, vals(run)) for run in read_log(shared)] == [
        ("cat", [(0, 9.0)]),
        ("b", [(0, 2.0), (10, 2.1), (20, 2.2)]),
        ("a", [(0, 1.0), (10, 1.1), (20, 1.2)]),
    ]


@pytest.mark.parametrize(
    ("owner", "losses"),
    [
        (LogOwner("a", "1"), [1.0, 1.1, 1.2]),
        (LogOwner("b", "2"), [2.0, 2.1, 2.2]),
        (LogOwner("renamed", "2"), [2.0, 2.1, 2.2]),
        (LogOwner("cat", None), [9.0]),
        (LogOwner("cat", "of an early mypt"), [9.0]),
    ],
)
def test_a_model_has_the_lines_of_its_run(shared, owner, losses):
    assert [loss for _, loss in vals(read_run(shared, owner))] == losses


def test_lines_of_other_runs_are_not_those_of_a_model(log):
    path = log(*of("a", "1", start(0), evaluation(0)))
    for owner in (LogOwner("a", "2"), LogOwner("a", None)):
        with pytest.raises(FormatError, match="contains no evaluation of a"):
            read_run(path, owner)


def test_a_model_that_is_gone_has_its_last_run(log, shared):
    assert [loss for _, loss in vals(read_last_run(shared, "b"))] == [2.0, 2.1, 2.2]
    path = log(*of("a", "1", start(0), evaluation(0, 1.0)), *of("a", "2", start(0), evaluation(5)))
    assert vals(read_last_run(path, "a")) == vals(read(path)) == [(5, 3.0)]
    with pytest.raises(FormatError, match="contains no evaluation"):
        read_last_run(log(*of("a", "1", start(0))), "a")


def test_a_run_of_an_early_mypt_or_under_another_name_has_its_past(log):
    early = (start(0), evaluation(0, 1.0), evaluation(10, 1.1), evaluation(20, 1.9))
    path = log(*early, *of("a", "1", start(10), evaluation(20, 1.2)))
    assert vals(read(path)) == [(0, 1.0), (10, 1.1), (20, 1.2)]
    renamed = of("b", "1", {"event": "notice"}, start(0), start(10), evaluation(20, 1.3))
    path = log(*of("a", "1", *early), *renamed)
    assert vals(read_run(path, LogOwner("b", "1"))) == [(0, 1.0), (10, 1.1), (20, 1.3)]
    assert vals(read_run(path, LogOwner("a", "1")))[-1] == (20, 1.9)
    unrelated = of("b", "2", start(0), evaluation(0, 5.0))
    assert vals(read_run(log(*early, *unrelated), LogOwner("b", "2"))) == [(0, 5.0)]


def test_events_and_fields_of_a_later_version_are_passed_over(log):
    later = {"event": "astonishing", "iter": "seven"}
    run = read(log(later, evaluation(0, eval_note="fine", eval_more=1.5, new=[1])))
    assert run.loss_names == ["val", "more"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "line 2 is not a JSON object"),
        ("[1]", "line 2 is not a JSON object"),
        ("[" * 100000, "line 2 is not a JSON object"),
        ({"event": "eval", "iter": 1}, "line 2 has no `val_loss`"),
        ({"event": "eval", "val_loss": 1.0}, "line 2 has no `iter`"),
        ({"iter": -1, "val_loss": 1.0}, "line 2 has a `iter` that is not a count"),
        ({"iter": True, "val_loss": 1.0}, "line 2 has a `iter` that is not a count"),
        ({"iter": 1, "val_loss": "low"}, "line 2 has a `val_loss` that is not a number"),
        ({"event": "phase_switch", "iter": 1}, "line 2 has no `new_phase`"),
        ({"event": "gold_blocked", "iter": 1, "val_loss": 1, "reason": 5}, "`reason` that is no"),
    ],
)
def test_a_wrong_line_is_named_with_its_file_and_number(log, line, said):
    path = log(evaluation(0), line, evaluation(2))
    with pytest.raises(FormatError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_a_log_without_evaluations_is_refused(log, tmp_path):
    with pytest.raises(FormatError, match="contains no evaluation"):
        read(log(start(0)))
    with pytest.raises(FormatError, match="cannot be read"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(FormatError, match="not a JSON object"):
        read(tmp_path / "binary")


def test_tokens_between_evaluations_are_in_proportion(log):
    run = read(log(evaluation(0), evaluation(10), evaluation(30)))
    assert [run.tokens_at(step) for step in (0, 5, 10, 20, 30, 40)] == [
        0,
        500,
        1000,
        2000,
        3000,
        4000,
    ]


def test_names_hold_nothing_that_a_terminal_obeys(log):
    escape = "\x1b[31mred\u202e\ud800"
    run = read_last_run(log(evaluation(0, phase=escape, **{f"eval_{escape}": 1.0})), escape)
    names = [run.name, *run.loss_names, *(phase.name for phase in run.phases)]
    assert len(names) == 4
    assert all(name.isprintable() for name in names)
    assert len(printable("x" * 1000)) == 60


def test_each_start_says_its_schedule_if_the_log_has_all_of_it(log):
    config = {"start_step": 0, "learning_rate": 0.1, "warmup_iters": 5.0, "max_iters": 50}
    begin = {"event": "training_start", "config": config}
    later = {"event": "training_start", "config": {**config, "start_step": 10, "max_iters": "9"}}
    starts = read(log(begin, evaluation(0), evaluation(10), later, evaluation(20))).starts
    assert [start.step for start in starts] == [0, 10]
    assert starts[0].training.max_iters == 50
    assert starts[1].training is None


def update(step, loss=2.5, **fields):
    figures = {"train_loss": loss, "grad_norm": 1.5, "tokens_per_sec": 1200}
    return {"event": "step", "iter": step, **figures, **fields}


def test_figures_of_updates_are_read_and_repeated_ones_replace_the_earlier(log):
    path = log(evaluation(0), update(10), update(20), evaluation(20), start(10), update(20, 2.25))
    (run,) = read_log(path)
    assert [(u.step, u.loss, u.grad_norm, u.tokens_per_sec) for u in run.updates] == [
        (10, 2.5, 1.5, 1200),
        (20, 2.25, 1.5, 1200),
    ]


def test_a_figure_of_an_update_that_is_not_known_is_a_gap(log):
    (run,) = read_log(log(evaluation(0), update(10, None, grad_norm=None)))
    assert math.isnan(run.updates[0].loss)
    assert math.isnan(run.updates[0].grad_norm)
