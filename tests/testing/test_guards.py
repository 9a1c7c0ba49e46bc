"""The kit finds nothing wrong with mypt's own guards, and what is wrong with others."""

import itertools
import math

import pytest

import mypt.engine.plugin
from mypt.plugins import GuardFactory, Verdict
from mypt.testing import ContractError, check_guard


@pytest.mark.parametrize("factory", mypt.engine.plugin.mypt_gold_guards(), ids=lambda f: f.name)
def test_nothing_is_wrong_with_what_comes_with_mypt(factory):
    assert any(check_guard(factory))


def remembers(_):
    seen = []

    def judge(evaluation, memory):
        seen.append(evaluation.val_loss)
        return Verdict("too many" if len(seen) > 6 else None, memory)

    return judge


def numbers(_):
    count = itertools.count()
    return lambda evaluation, memory: Verdict(f"call {next(count)}", memory)


def changes(_):
    def judge(evaluation, memory):
        memory["step"] = evaluation.step
        return Verdict(None, memory)

    return judge


def always(verdict):
    return lambda _: lambda evaluation, memory: verdict


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (remembers, "keeps state|called twice"),
        (numbers, "called twice"),
        (changes, "changes the memory"),
        (always("no"), "returns a str, not a Verdict"),
        (always(Verdict("", {})), "its reason is ''"),
        (always(Verdict(None, {"loss": math.nan})), "cannot be written as JSON"),
        (always(Verdict(None, {"seen": {1, 2}})), "cannot be written as JSON"),
        (always(Verdict(None, {1: "a", "1": "b"})), "become the same key in JSON"),
    ],
)
def test_a_wrong_guard_is_told_what_it_does_wrong(build, message):
    with pytest.raises(ContractError, match=message):
        check_guard(GuardFactory("odd", build))


def test_a_guard_that_remembers_each_step_apart_is_found_by_the_resume():
    """Each call twice is the same, but what came before is known by the object alone."""

    def build(_):
        steps = set()

        def judge(evaluation, memory):
            steps.add(evaluation.step)
            return Verdict(f"{len(steps)} steps", memory)

        return judge

    with pytest.raises(ContractError, match="resumed after evaluation 1"):
        check_guard(GuardFactory("odd", build))


def test_options_that_its_schema_refuses_are_named():
    schema = {"properties": {"limit": {"type": "number"}}}
    with pytest.raises(ContractError, match="rejects the options"):
        check_guard(GuardFactory("odd", remembers, options=schema), {"limit": "high"})


def test_an_error_of_the_guard_says_on_what_it_came():
    def build(_):
        return lambda evaluation, memory: Verdict(None, {"log": math.log(evaluation.val_loss)})

    with pytest.raises(ContractError, match=r"it raises ValueError: .*(domain|positive)") as raised:
        check_guard(GuardFactory("odd", build), evaluations=evaluations_of(1.0, 0.0))
    assert "val_loss=0.0" in str(raised.value)
    assert isinstance(raised.value.__cause__, ValueError)


def evaluations_of(*losses):
    from mypt.plugins import Evaluation

    return [Evaluation(step=i, train_loss=x, val_loss=x) for i, x in enumerate(losses)]
