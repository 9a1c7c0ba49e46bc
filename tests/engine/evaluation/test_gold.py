import math

import pytest
from attrs import evolve

from mypt.engine.evaluation.gold import build_guards, decide, explain_incomparable
from mypt.engine.plugin import mypt_gold_guards
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.training import GoldMemory, TrainingConfig, TrainingState
from mypt.format.errors import ConfigError
from mypt.plugins import Evaluation, GuardFactory, Verdict

FACTORIES = {factory.name: factory for factory in mypt_gold_guards()}


def evaluation(step, val, train=1.0, **sets):
    return Evaluation(step=step, train_loss=train, val_loss=val, eval_losses=sets)


def replay(evaluations, guards, memory=None):
    memory = memory or GoldMemory()
    decisions = []
    for one in evaluations:
        decision = decide(one, memory, guards)
        decisions.append(decision)
        memory = decision.memory
    return decisions


def test_each_lower_loss_becomes_gold_and_a_tie_does_not():
    decisions = replay([evaluation(i, v) for i, v in enumerate([3.0, 2.0, 2.0, 2.5, 1.0])], {})
    assert [d.promoted for d in decisions] == [True, True, False, False, True]
    assert decisions[-1].memory.best_step == 4


def test_a_loss_that_is_not_finite_never_becomes_gold():
    decisions = replay([evaluation(0, math.nan), evaluation(1, -math.inf), evaluation(2, 5.0)], {})
    assert [d.promoted for d in decisions] == [False, False, True]
    assert [d.reasons for d in decisions[:2]] == [("the loss of val is not a finite number",)] * 2


def test_the_loss_that_has_no_value_is_named():
    one = evaluation(0, 3.0, books=math.nan, code=2.0)
    decision = decide(one, GoldMemory(), {}, {"val": 1, "books": 1, "code": 1})
    assert decision.reasons == ("the loss of books is not a finite number",)
    assert decide(one, GoldMemory(), {}, {"code": 1}).promoted


def test_a_guard_blocks_a_new_best_and_says_why():
    guards = build_guards({}, FACTORIES)
    decisions = replay([evaluation(0, 3.0), evaluation(1, 2.0, train=0.1)], guards)
    assert not decisions[1].promoted
    assert decisions[1].reasons == ("overfit: val/train=20.0x, threshold=5.0x",)
    assert decisions[1].memory.best_val_loss == 3.0


def test_no_reason_is_given_for_a_model_that_was_no_candidate():
    guards = build_guards({}, FACTORIES)
    decisions = replay([evaluation(0, 3.0), evaluation(1, 4.0, train=0.1)], guards)
    assert decisions[1].reasons == ()


def test_the_memory_survives_a_save_so_that_a_resumed_run_decides_the_same():
    guards = build_guards({}, FACTORIES)
    values = [3.0, 3.1, 3.2, 2.9, 2.8, 2.9, 3.0, 2.0, 1.9]
    evaluations = [evaluation(i, v, general=v) for i, v in enumerate(values)]
    unbroken = replay(evaluations, guards)
    for cut in range(1, len(evaluations)):
        saved = to_document(unbroken[cut - 1].memory, versioned=False)
        resumed = replay(evaluations[cut:], guards, from_document(GoldMemory, saved))
        assert resumed == unbroken[cut:]


def test_a_guard_that_fails_blocks_gold_with_its_reason():
    def broken(evaluation, memory):
        raise ZeroDivisionError("no luck")

    def fine(evaluation, memory):
        return Verdict(None, memory)

    (decision,) = replay([evaluation(0, 1.0)], {"fine": fine, "mine": broken})
    assert decision.reasons == ("guard mine failed: ZeroDivisionError: no luck",)


def test_false_switches_a_guard_off_and_options_reach_it():
    guards = build_guards({"overfit": False, "trend": {"max_rises": 1}}, FACTORIES)
    assert sorted(guards) == ["eval_regression", "trend"]
    assert replay([evaluation(0, 3.0), evaluation(1, 3.1), evaluation(2, 1.0)], guards)[2].reasons


def test_a_guard_of_a_plugin_judges_only_runs_that_name_it():
    factories = {**FACTORIES, "mine": GuardFactory("mine", build=lambda options: None)}
    assert "mine" not in build_guards({}, factories)
    assert "mine" in build_guards({"mine": {}}, factories)


def test_an_unknown_guard_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"there is no gold guard `overfitt` \(did you mean"):
        build_guards({"overfitt": {}}, FACTORIES)


def test_a_guard_that_is_not_here_can_be_switched_off_and_a_misspelt_one_cannot():
    assert (
        build_guards({"of_a_plugin": False}, FACTORIES).keys() == build_guards({}, FACTORIES).keys()
    )
    with pytest.raises(ConfigError, match="did you mean"):
        build_guards({"overfitt": False}, FACTORIES)


def test_an_option_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="gold_guards/trend"):
        build_guards({"trend": {"max_rises": "two"}}, FACTORIES)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, None),
        ({"eval_iters": 3}, None),
        ({"eval_sets": {"a": "a.txt", "more": "m.txt"}}, None),
        ({"gold_metric": {"a": 1}}, "gold_metric changed"),
        ({"eval_sets": {"a": "other.txt"}}, "eval_sets or eval_dataset_dir changed"),
        ({"eval_dataset_dir": "else/b"}, "eval_sets or eval_dataset_dir changed"),
    ],
)
def test_losses_are_compared_as_long_as_they_mean_the_same(changed, why):
    metric = {"val": 1, "a": 1, "b": 1}
    training = TrainingConfig(
        gold_metric=metric, eval_sets={"a": "a.txt"}, eval_dataset_dir="data/b"
    )
    state = TrainingState(step=4, training_config=training, gold=GoldMemory(best_val_loss=2.0))
    now = evolve(state, training_config=evolve(training, **changed))
    assert explain_incomparable(state, now) == why
    assert explain_incomparable(evolve(state, gold=GoldMemory()), now) is None
