"""A run that a limit ends before max_iters ends at the same step, however it was interrupted."""

import os
import signal

import pytest

from mypt.format.bundle.read import read_bundle
from tests.support.resume.remains import differences, digests, remains
from tests.support.resume.runs import Interruption, Moment, run
from tests.support.resume.setups import arguments, prepare

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the signals are those of POSIX")

# An update is of 48 tokens.
LIMITS = {
    "max_tokens": ({"max_tokens": 48 * 20 + 1}, 21),
    "target_loss": ({"target_loss": 2.7}, None),
    "stop_after_evals_without_gain": ({"stop_after_evals_without_gain": 1}, None),
}
SETUP = "curriculum"


def last_state(place):
    return read_bundle(place / "checkpoints" / "dante").training_state


@pytest.mark.parametrize("field", LIMITS)
def test_an_interrupted_run_ends_where_the_unbroken_one_does(field, place, unbroken):
    fields, step = LIMITS[field]
    expected, moments = unbroken(SETUP, **fields)
    assert expected["log"][-1]["event"] == "training_complete"
    assert expected["log"][-1]["ended_by"] == field
    assert "dante_fp16" in expected
    last = expected["dante"]["state"]["step"]
    assert last < 40
    assert step in (None, last)
    saves = [m for m in moments if (m.kind, m.step) == ("save", last)]
    for moment, number in (
        (Moment(last - 1, "update", 1), signal.SIGTERM),
        (Moment(last, "evaluation", 1), signal.SIGTERM),
        (saves[len(saves) // 3], signal.SIGKILL),
    ):
        here = prepare(place / f"{moment.step}.{moment.kind}.{moment.index}")
        run(here, arguments(SETUP, **fields), Interruption(moment, (number,)))
        ending = run(here, arguments(SETUP, **fields))
        assert ending.code == 0, ending.said
        assert differences(remains(here), expected) == []


def test_a_run_that_a_limit_ended_goes_on_as_if_it_had_not(place, unbroken):
    given = arguments(SETUP, **LIMITS["max_tokens"][0])
    ending = run(place, given)
    assert ending.code == 0
    why = "Ended before max_iters 40: 1,008 tokens are trained on, and max_tokens is 961"
    assert why in ending.said.splitlines()
    assert "Training finished!" in ending.said
    again = run(place, ["--model_name", "dante"])
    assert again.code == 0
    assert again.said.splitlines() == [
        "checkpoints/dante is at step 21 of 40, where 1,008 tokens are trained on, and max_tokens "
        "is 961: nothing to do. To go on: mypt train --model_name dante --max_tokens 2016"
    ]
    assert run(place, ["--model_name", "dante", "--max_tokens", "2016"]).code == 0
    state = last_state(place)
    assert state.step == 40
    assert state.exact
    expected, _ = unbroken(SETUP)
    files = ("model.pt", "optimizer.pt")
    assert digests(place) == {file: expected["dante"][file] for file in files}


def test_minutes_count_over_all_runs_and_end_one_between_updates(place):
    given = arguments(SETUP, max_minutes=1e6)
    stopped = Interruption(Moment(13, "update", 1), (signal.SIGTERM,))
    assert run(place, given, stopped).code == 1
    spent = last_state(place).elapsed_s
    assert spent > 0
    limit = 0.9 * spent / 60  # reached already
    ending = run(place, ["--model_name", "dante", "--max_minutes", str(limit)])
    assert ending.code == 0
    state = last_state(place)
    assert (state.step, state.evaluated_step) == (14, 14)  # it is evaluated, and no more
    assert "max_minutes" in ending.said
    again = run(place, ["--model_name", "dante"])
    assert "nothing to do" in again.said
    assert run(place, ["--model_name", "dante", "--max_minutes", "1000"]).code == 0
    assert last_state(place).step == 40


def test_a_limit_that_is_set_on_the_way_ends_the_run_at_the_next_evaluation(place):
    stopped = Interruption(Moment(13, "update", 1), (signal.SIGTERM,))
    assert run(place, arguments(SETUP), stopped).code == 1
    ending = run(place, ["--model_name", "dante", "--target_loss", "1000"])
    assert ending.code == 0
    assert last_state(place).step == 16
    assert "gold_loss is" in ending.said


def test_guards_that_block_gold_do_not_matter(place):
    guards = {"overfit": {"max_ratio": 0.001}}
    ending = run(place, arguments(SETUP, gold_guards=guards, target_loss=1000.0))
    assert ending.code == 0
    assert last_state(place).step == 0
    assert not (place / "checkpoints" / "dante_gold").exists()
