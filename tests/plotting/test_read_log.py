import json
import math

import pytest

from mypt.format.errors import FormatError
from mypt.plotting.read_log import read_log
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


def vals(run):
    return [(e.step, e.losses["val"]) for e in run.evaluations]


def test_the_log_of_a_run_is_read_as_it_was_written(bundle):
    run = read_log(bundle.parent / "log.jsonl", "cat")
    assert run.name == "cat"
    assert [e.step for e in run.evaluations] == [0, 30, 60]
    assert run.loss_names == ["val", "train"]
    assert all(e.lr is not None for e in run.evaluations)
    assert any(mark.promoted for mark in run.gold)


def test_mypt_s_early_logs_have_no_events(fixtures):
    run = read_log(fixtures / "mypt" / "logs" / "fused_simple.jsonl")
    assert run.name == "fused_simple"
    assert [e.step for e in run.evaluations] == [0, 25, 50, 75, 100]
    assert run.loss_names == ["val", "general"]
    assert not run.counts_tokens
    assert run.evaluations[-1].lr is None


def test_mypt_s_curriculum_has_phases_and_gold(fixtures):
    run = read_log(fixtures / "mypt" / "logs" / "modern_curriculum.jsonl")
    assert [(p.step, p.name) for p in run.phases] == [(0, "warm"), (60, "main")]
    assert [m.step for m in run.gold if m.promoted] == [0, 20, 40, 60, 180]
    assert [m.step for m in run.gold if not m.promoted] == [120, 140]
    assert "flapping" in next(m.reason for m in run.gold if not m.promoted)
    assert run.loss_names == ["val", "train", "domain", "general"]
    # MyPT logged the last evaluation in its closing event alone
    assert run.evaluations[-1].step == 220
    assert run.evaluations[-1].losses == {"val": 2.842657, "train": 1.681254}


def test_the_gold_of_mypt_s_final_evaluation_is_at_the_end(fixtures):
    run = read_log(fixtures / "mypt" / "logs" / "gpt2_chat_gold_blocked.jsonl")
    assert run.gold[-1].step == run.evaluations[-1].step == 45
    assert run.gold[-1].val_loss == run.evaluations[-1].losses["val"]


def test_a_line_that_was_never_finished_is_left_out(log):
    run = read_log(log(evaluation(0), '{"event": "eval", "iter": 1', end=""))
    assert vals(run) == [(0, 3.0)]


def test_a_last_line_without_newline_counts_when_it_is_whole(log):
    assert len(read_log(log(evaluation(0), evaluation(1), end="")).evaluations) == 2


def test_an_event_behind_an_unfinished_line_is_found(log):
    glued = '{"event": "eval", "iter": 2' + json.dumps(evaluation(1, 2.5))
    assert vals(read_log(log(evaluation(0), glued, evaluation(2, 2.0)))) == [
        (0, 3.0),
        (1, 2.5),
        (2, 2.0),
    ]


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "null", "1e999", "1" + "0" * 400]
)
def test_a_loss_that_is_not_finite_is_a_gap(log, value):
    text = '{"iter": 1, "val_loss": %s}'
    run = read_log(log(evaluation(0), text % value))
    assert math.isnan(run.evaluations[1].losses["val"])


def test_what_a_resumed_run_does_again_replaces_what_it_did(log):
    gold = {"event": "gold_checkpoint", "iter": 20, "val_loss": 1.0}
    run = read_log(
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
    run = read_log(log(*({"iter": step, "val_loss": step} for step in (0, 1, 2, 1, 2))))
    assert vals(run) == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_a_run_that_has_just_gone_back_ends_where_it_went(log):
    run = read_log(log(start(0), evaluation(0), evaluation(10), evaluation(20), start(10)))
    assert vals(run) == [(0, 3.0), (10, 3.0)]


def test_an_early_log_that_goes_back_takes_its_gold_along(log):
    gold = {"event": "gold_checkpoint", "iter": 20, "val_loss": 1.0}
    phase = {"event": "phase_switch", "iter": 20, "new_phase": "late"}
    run = read_log(log(evaluation(0), evaluation(20), gold, phase, evaluation(10)))
    assert (run.gold, run.phases) == ((), ())


def test_gold_before_the_resumed_step_stays(log):
    gold = {"event": "gold_checkpoint", "iter": 10, "val_loss": 3.0}
    run = read_log(log(start(0), evaluation(10), gold, start(10), evaluation(20)))
    assert [mark.step for mark in run.gold] == [10]


def test_of_two_runs_from_step_0_the_last_one_counts(log):
    run = read_log(log(start(0), evaluation(0), evaluation(9), start(0), evaluation(0, 7.0)))
    assert vals(run) == [(0, 7.0)]


def test_events_and_fields_of_a_later_version_are_passed_over(log):
    later = {"event": "astonishing", "iter": "seven"}
    run = read_log(log(later, evaluation(0, eval_note="fine", eval_more=1.5, new=[1])))
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
        read_log(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_a_log_without_evaluations_is_refused(log, tmp_path):
    with pytest.raises(FormatError, match="contains no evaluation"):
        read_log(log(start(0)))
    with pytest.raises(FormatError, match="cannot be read"):
        read_log(tmp_path / "none.jsonl")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(FormatError, match="not a JSON object"):
        read_log(tmp_path / "binary")


def test_tokens_between_evaluations_are_in_proportion(log):
    run = read_log(log(evaluation(0), evaluation(10), evaluation(30)))
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
    run = read_log(log(evaluation(0, phase=escape, **{f"eval_{escape}": 1.0})), escape)
    names = [run.name, *run.loss_names, *(phase.name for phase in run.phases)]
    assert len(names) == 4
    assert all(name.isprintable() for name in names)
    assert len(printable("x" * 1000)) == 60
