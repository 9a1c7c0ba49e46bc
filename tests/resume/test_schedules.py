"""However often a run is interrupted, wherever and however, it ends in the bytes of one never was.

`make resume` tries all schedules, `make test` a few.
"""

import os
import signal
from collections import Counter

import pytest
import torch

from tests.support.resume.remains import differences, digests, remains
from tests.support.resume.runs import Interruption, Moment, run
from tests.support.resume.schedules import NUMBER, SIGNALS, is_twice_in_one_interval, schedule
from tests.support.resume.setups import RUN, arguments

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the signals are those of POSIX")

EVERY = os.environ.get("MYPT_RESUME") == "all"
INTERVAL = RUN["eval_interval"]
NO_GPU = "there is no NVIDIA GPU, or this PyTorch was built without CUDA"
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)


def setup_of(number):
    return ("curriculum", "averaged", "epochs")[number % 3]


def interrupt(place, arguments, interruptions, *, fork=True):
    """Run through all interruptions and to the end; give what is left."""
    for interruption in interruptions:
        ending = run(place, arguments, interruption, fork=fork)
        if interruption.kills:
            assert ending.code is None
        elif ending.code == 0:  # asked so late that there was nothing left to stop
            assert "Training finished!" in ending.said
        else:
            assert ending.code == 1
            assert "To resume: mypt train --model_name dante" in ending.said
    ending = run(place, arguments, fork=fork)
    assert ending.code == 0, ending.said
    return remains(place)


@pytest.mark.parametrize("number", range(NUMBER if EVERY else 6))
def test_a_run_that_was_interrupted_leaves_what_the_unbroken_one_does(number, place, unbroken):
    setup = setup_of(number)
    expected, moments = unbroken(setup)
    interruptions = schedule(number, moments, INTERVAL)
    print(f"{number} ({setup}): {'; '.join(map(str, interruptions))}")
    assert differences(interrupt(place, arguments(setup), interruptions), expected) == []


@pytest.mark.parametrize("setup", ["muon", "adafactor", "sgd", "plain"])
def test_so_does_a_run_with_each_optimizer(setup, place, unbroken):
    expected, moments = unbroken(setup)
    interruptions = schedule(3, moments, INTERVAL)
    assert differences(interrupt(place, arguments(setup), interruptions), expected) == []


def test_the_schedules_leave_nothing_out(unbroken):
    met, twice, numbers = Counter(), 0, Counter()
    for number in range(NUMBER):
        drawn = schedule(number, unbroken(setup_of(number))[1], INTERVAL)
        met.update((i.moment.kind, i.signals[0]) for i in drawn)
        met.update(("torn log", i.signals[0]) for i in drawn if i.torn)
        met.update(("inside accumulation", i.signals[0]) for i in drawn if is_inside(i.moment))
        twice += is_twice_in_one_interval(drawn, INTERVAL)
        numbers[len(drawn)] += 1
    kinds = ("evaluation", "save", "log", "update", "inside accumulation")
    assert all(met[kind, signal] >= 3 for kind in kinds for signal in SIGNALS)
    assert set(numbers) == {1, 2, 3, 4, 5}
    assert twice >= 10
    assert sum(number for (kind, _), number in met.items() if kind == "torn log") >= 1


def is_inside(moment):
    return moment.kind == "update" and moment.index > 0


def test_the_runs_have_all_that_could_go_wrong(unbroken):
    """Gold promoted and blocked, phases switched inside an interval and at its end, and so on."""
    (expected, _), (other, _) = unbroken("curriculum"), unbroken("epochs")
    kinds = Counter(event["event"] for event in expected["log"])
    assert kinds["phase_switch"] == 2
    assert kinds["gold_checkpoint"] >= 2
    assert kinds["gold_blocked"] >= 1
    assert kinds["eval"] == 1 + RUN["max_iters"] // INTERVAL
    assert {"eval_short", "eval_long"} < set(expected["log"][0])
    copies = {"dante_gold", "dante_fp16", "dante_step00000024", "dante_step00000036"}
    for left in (expected, other):
        assert left.keys() == {"log", "dante", *copies}
        assert left["dante"]["state"]["exact"]
        assert left["dante"]["state"]["gold"]["guards"]["eval_regression"]["baselines"]


def weights_alone(place):
    for name in ("optimizer.pt", "manifest.json"):
        (place / "checkpoints" / "dante" / name).unlink()


def dropout_of_the_process():
    """Seed dropout at the begin of a process, not in each micro step."""
    torch.manual_seed(1)
    torch.manual_seed = lambda seed: seed


def batches_of_the_process():
    """Draw the batches from the first one on, whatever the step."""
    from mypt.data.batches.loader import GPTDataLoader

    draw, began = GPTDataLoader.train_batch, []

    def train_batch(loader, seed, step, *args, **more):
        began.append(step)
        return draw(loader, seed, step - began[0], *args, **more)

    GPTDataLoader.train_batch = train_batch


def learning_rate_of_the_process():
    from mypt.engine.schedules.learning_rate import LearningRate

    rate, began = LearningRate.at, []

    def at(self, step, *peak):
        began.append(step)
        return rate(self, step - began[0], *peak)

    LearningRate.at = at


@pytest.mark.parametrize(
    ("between", "broken"),
    [
        (weights_alone, lambda: None),
        (lambda place: None, dropout_of_the_process),
        (lambda place: None, batches_of_the_process),
        (lambda place: None, learning_rate_of_the_process),
    ],
)
def test_what_is_not_restored_shows(between, broken, place, tmp_path):
    """The controls: each forgets one thing, and ends in other weights."""
    from tests.support.resume.setups import prepare

    given = arguments("curriculum", max_iters=14)
    whole = prepare(tmp_path / "whole")
    assert run(whole, given, broken=broken).code == 0
    stopped = Interruption(Moment(11, "update", 1), (signal.SIGTERM,))
    assert run(place, given, stopped, broken=broken).code == 1
    between(place)
    assert run(place, given, broken=broken).code == 0
    assert digests(place) != digests(whole)


@on_gpu
@pytest.mark.parametrize("number", range(NUMBER if EVERY else 1))
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_run_on_a_gpu_leaves_what_the_unbroken_one_does(number, compiled, place, unbroken):
    """In bf16; fp16 with its scaler every third time."""
    fields = {"device": "cuda", "compile": compiled, "use_amp": True}
    fields["amp_dtype"] = "fp16" if number % 3 == 1 else "bf16"
    setup = setup_of(number)
    expected, moments = unbroken(setup, fork=False, **fields)
    interruptions = schedule(number, moments, INTERVAL)
    left = interrupt(place, arguments(setup, **fields), interruptions, fork=False)
    assert differences(left, expected) == []
