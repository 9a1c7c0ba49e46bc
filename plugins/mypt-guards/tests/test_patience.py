import json
import math

import pytest

from mypt.engine.evaluation.gold import build_guards
from mypt.plugins import Evaluation
from mypt.plugins.manager import load_plugins
from mypt.testing import check_guard


def judge(guard, losses, memory=None):
    memory, reasons = memory or {}, []
    for step, val in enumerate(losses):
        verdict = guard(Evaluation(step=step, train_loss=1.0, val_loss=val), memory)
        memory = json.loads(json.dumps(verdict.memory))
        reasons.append(verdict.reason)
    return reasons, memory


@pytest.fixture(scope="module")
def build():
    """Build the guard as an installed plugin is built: through its entry point."""
    factories = load_plugins().guards
    return lambda **options: build_guards({"patience": options}, factories)["patience"]


def test_it_keeps_the_contract_of_guards():
    factory = load_plugins().guards["patience"]
    check_guard(factory)
    check_guard(factory, {"evaluations": 1})


def test_a_new_best_within_the_patience_passes(build):
    assert judge(build(evaluations=3), [3.0, 3.1, 3.1, 2.9, 3.0, 2.8])[0] == [None] * 6


def test_a_new_best_after_it_is_blocked(build):
    reasons, _ = judge(build(evaluations=2), [3.0, 3.1, 3.1, 2.0])
    assert reasons == [None, None, None, "patience: 2 evaluations without a new best"]


def test_a_loss_that_is_not_finite_is_no_new_best(build):
    assert judge(build(evaluations=1), [3.0, math.nan, 2.0])[0][2] is not None


def test_the_memory_survives_a_resume(build):
    guard, losses = build(evaluations=2), [3.0, 3.1, 2.9, 3.0, 3.0, 1.0]
    whole, _ = judge(guard, losses)
    for cut in range(1, len(losses)):
        first, memory = judge(guard, losses[:cut])
        assert first + judge(guard, losses[cut:], memory)[0] == whole


def test_installing_it_changes_no_run():
    assert "patience" not in build_guards({}, load_plugins().guards)
