"""The log leads to the decisions: replayed through the same rules, its losses give them again."""

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mypt
from mypt.engine.evaluation.gold import build_guards, decide
from mypt.engine.logging import reports
from mypt.engine.plugin import mypt_gold_guards
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.training import GoldMemory, TrainingConfig
from mypt.plugins import Evaluation, Verdict
from mypt.plugins.manager import load_plugins

FACTORIES = {factory.name: factory for factory in mypt_gold_guards()}
SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 4, "dropout": 0.0}
_NO_SETS = ("eval_duration_s",)


def logged(event):
    """Give an evaluation back from its line; null stands for every loss that is not finite."""
    losses = {k: math.nan if v is None else v for k, v in event.items() if k.endswith("_loss")}
    sets = {
        name.removeprefix("eval_"): math.nan if loss is None else loss
        for name, loss in event.items()
        if name.startswith("eval_") and name not in _NO_SETS
    }
    return Evaluation(step=event["iter"], eval_losses=sets, **losses)


def replay(lines, guards, metric):
    """Decide on every evaluation of a log; give the events of gold and the memory."""
    memory, told = GoldMemory(), []
    for line in lines:
        if line["event"] == "eval":
            decision = decide(logged(line), memory, guards, metric)
            told.append(reports.gold_decided(logged(line), decision, memory.best_val_loss))
            memory = decision.memory
    return [untimed(event.to_json()) for event in told if event], memory


def untimed(event):
    """Leave out what only a log knows: when it was, and of which model and run."""
    told = {"timestamp", "model_name", "run_id"}
    return {name: value for name, value in event.items() if name not in told}


DEFAULTS = {"learning_rate": 0.05, "max_iters": 60, "eval_interval": 3, "eval_iters": 1}
RUNS = {
    "all guards": {"gold_guards": {"trend": {"max_rises": 1}}},
    "strict": {
        "gold_guards": {
            "trend": False,
            "overfit": {"max_ratio": 1.02},
            "eval_regression": {"max_regression": 0.0},
        }
    },
    "one set": {"gold_metric": {"other": 1.0}},
    "weighted": {"gold_metric": {"val": 3.0, "other": 1.0}, "gold_guards": {"overfit": False}},
    "diverging": {"learning_rate": 1e9, "grad_clip": 0.0, "terminate_on_nan": False},
}


@pytest.mark.parametrize("name", RUNS)
def test_the_log_of_a_real_run_leads_to_its_decisions(name, text, tmp_path):
    options = RUNS[name]
    tokenizer = load_plugins().tokenizer("char").train(text)
    config = mypt.GPTConfig(**SHAPE, vocab_size=tokenizer.vocab_size)
    model = mypt.GPT(config, tokenizer)
    other = mypt.GPTDataLoader(config, tokenizer, text="the mat, the cat" * 20, source="other")
    with suppress(mypt.DivergedError):  # at the end of the run, as nothing could be saved there
        model.fit(
            mypt.GPTDataLoader(config, tokenizer, text=text),
            checkpoint_dir=tmp_path / "m",
            log_file=str(tmp_path / "log"),
            eval_data_loaders={"other": other},
            quiet=True,
            **{**DEFAULTS, **options},
        )
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    guards = build_guards(options.get("gold_guards", {}), FACTORIES)
    told, memory = replay(lines, guards, options.get("gold_metric", {}))
    assert told == [untimed(line) for line in lines if line["event"].startswith("gold_")]
    assert memory == model.history.state.gold
    kinds = {event["event"] for event in told}
    assert "gold_checkpoint" in kinds
    if name in ("all guards", "strict"):
        assert "gold_blocked" in kinds


LOSSES = st.one_of(
    st.floats(0, 10).map(lambda loss: round(loss, 6)),
    st.sampled_from([0.0, 1.0, 2.0, math.nan, math.inf, -math.inf]),
)
SETS = st.dictionaries(st.sampled_from(["a", "b"]), LOSSES)
HISTORIES = st.lists(st.tuples(LOSSES, LOSSES, SETS), min_size=1, max_size=12)
OPTIONS = st.fixed_dictionaries(
    {
        "overfit": st.one_of(st.just(False), st.builds(dict, max_ratio=st.floats(0.1, 9))),
        "trend": st.one_of(st.just(False), st.builds(dict, max_rises=st.integers(1, 3))),
        "eval_regression": st.one_of(
            st.just(False), st.builds(dict, max_regression=st.floats(0, 2))
        ),
    }
)


def evaluations_of(history):
    return [
        Evaluation(step=number, train_loss=train, val_loss=val, eval_losses=sets)
        for number, (train, val, sets) in enumerate(history)
    ]


def decisions_of(evaluations, guards, memory=None):
    memory, decisions = memory or GoldMemory(), []
    for evaluation in evaluations:
        decisions.append(decide(evaluation, memory, guards))
        memory = decisions[-1].memory
    return decisions


@given(HISTORIES, OPTIONS, st.data())
@settings(max_examples=200)
def test_any_losses_give_the_same_decisions_again(history, options, data):
    evaluations, guards = evaluations_of(history), build_guards(options, FACTORIES)
    decisions = decisions_of(evaluations, guards)

    promoted = [d.memory.best_val_loss for d in decisions if d.promoted]
    assert all(math.isfinite(loss) for loss in promoted)
    assert promoted == sorted(set(promoted), reverse=True)
    assert not any("failed" in reason for d in decisions for reason in d.reasons)

    cut = data.draw(st.integers(0, len(history) - 1))
    saved = json.loads(json.dumps(to_document(decisions[cut].memory, versioned=False)))
    resumed = decisions_of(evaluations[cut + 1 :], guards, from_document(GoldMemory, saved))
    assert repr(resumed) == repr(decisions[cut + 1 :])

    lines = [json.loads(json.dumps(line_of(evaluation))) for evaluation in evaluations]
    _, memory = replay(lines, guards, {})
    assert memory == decisions[-1].memory


def line_of(evaluation):
    numbers = {"lr": 0.1, "elapsed_s": 0.0, "tokens_processed": 0, "eval_duration_s": 0.0}
    return reports.evaluated(evaluation, TrainingConfig(), phase="default", **numbers).to_json()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Verdict(None, {"seen": {1, 2}}), "TypeError"),
        (Verdict(None, {"loss": math.nan}), "ValueError"),
        (None, "AttributeError"),
    ],
)
def test_a_guard_whose_memory_cannot_be_saved_blocks_gold_and_not_the_run(answer, said):
    evaluation = Evaluation(step=0, train_loss=1.0, val_loss=1.0)
    decision = decide(evaluation, GoldMemory(), {"mine": lambda *_: answer})
    assert not decision.promoted
    assert decision.reasons[0].startswith(f"guard mine failed: {said}")
    json.dumps(to_document(decision.memory, versioned=False), allow_nan=False)


def test_a_guard_remembers_what_a_resumed_run_would_read():
    """JSON has no tuples and no keys but texts: the unbroken run must not see more."""

    def guard(evaluation, memory):
        known = memory.get("seen", {})
        told = "seen" if evaluation.step - 1 in known else None
        return Verdict(told, {"seen": {**known, evaluation.step: (1, 2)}})

    evaluations = [Evaluation(step=n, train_loss=1.0, val_loss=3.0 - n) for n in range(3)]
    unbroken = decisions_of(evaluations, {"mine": guard})
    saved = json.loads(json.dumps(to_document(unbroken[0].memory, versioned=False)))
    resumed = decisions_of(evaluations[1:], {"mine": guard}, from_document(GoldMemory, saved))
    assert resumed == unbroken[1:]


def test_a_guard_that_changes_its_memory_in_place_changes_no_decision_of_before():
    def guard(evaluation, memory):
        memory.setdefault("seen", []).append(evaluation.step)
        return Verdict(None, memory)

    evaluations = [Evaluation(step=n, train_loss=1.0, val_loss=1.0) for n in range(3)]
    decisions = decisions_of(evaluations, {"mine": guard})
    assert [d.memory.guards["mine"]["seen"] for d in decisions] == [[0], [0, 1], [0, 1, 2]]
