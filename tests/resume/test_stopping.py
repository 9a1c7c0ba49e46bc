"""What a person sees who presses Ctrl-C, once or twice, or whose machine says SIGTERM."""

import os
import signal

import pytest

from mypt.format.bundle.read import read_bundle
from tests.support.resume.remains import differences, remains
from tests.support.resume.runs import Interruption, Moment, run
from tests.support.resume.setups import arguments

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the signals are those of POSIX")

SETUP = "curriculum"


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGTERM,) * 2, (signal.SIGINT, signal.SIGTERM)],
)
def test_the_step_is_finished_and_saved_and_the_command_goes_on(signals, place, unbroken):
    stopped = Interruption(Moment(13, "update", 1), signals)
    ending = run(place, arguments(SETUP), stopped)
    *_, message = ending.said.splitlines()
    assert ending.code == 1
    assert ending.passed[-1].index == 2 or ending.passed[-1].kind == "save"
    assert message == (
        "Stopped at step 14; everything is saved. To resume: mypt train --model_name dante"
    )
    assert read_bundle(place / "checkpoints" / "dante").training_state.step == 14
    command = message.partition("To resume: mypt train ")[2].split()
    assert run(place, command).code == 0
    assert differences(remains(place), unbroken(SETUP)[0]) == []


@pytest.mark.parametrize("moment", [Moment(40, "evaluation", 0), Moment(39, "update", 2)])
def test_a_run_stopped_before_its_last_evaluation_is_not_called_finished(moment, place):
    ending = run(place, arguments(SETUP), Interruption(moment, (signal.SIGTERM,)))
    assert ending.code == 1
    assert "Training finished!" not in ending.said
    assert "Stopped at step 40; everything is saved." in ending.said


def test_a_second_ctrl_c_ends_it_at_once_and_what_was_saved_is_whole(place, unbroken):
    twice = Interruption(Moment(13, "update", 0), (signal.SIGINT, signal.SIGINT))
    ending = run(place, arguments(SETUP), twice)
    assert ending.code == 1
    assert ending.said.endswith("interrupted\n")
    assert ending.passed[-1] == Moment(13, "update", 1) or ending.passed[-1].kind == "save"
    assert run(place, ["--model_name", "dante"]).code == 0
    assert differences(remains(place), unbroken(SETUP)[0]) == []


def test_stopped_before_the_first_evaluation_and_killed_after_it_the_log_has_it_once(
    place, unbroken
):
    expected, moments = unbroken(SETUP)
    begin = next(moment for moment in moments if (moment.kind, moment.step) == ("save", 0))
    for moment, number in (
        (Moment(0, "evaluation", 0), signal.SIGTERM),
        (begin, signal.SIGKILL),
    ):
        assert run(place, arguments(SETUP), Interruption(moment, (number,))).code != 0
    assert run(place, arguments(SETUP)).code == 0
    assert differences(remains(place), expected) == []
