"""What a run logs while it runs, when it saves, and when it fails; and that a resume fits it."""

import json
from types import SimpleNamespace

import pytest

import mypt
from mypt.engine.evaluation.divergence import DivergedError
from mypt.engine.training.trainer import Trainer
from mypt.engine.training.update import Updater
from mypt.format.errors import SaveError
from mypt.plugins import SinkFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins

OFTEN = {"log_interval": 3, "eval_interval": 6, "max_iters": 12}
TIMES = {"timestamp", "elapsed_s", "tokens_per_sec", "memory_bytes", "eval_duration_s", "mfu"}
RESUMES = {"training_start", "notice", "interrupted", "failed", "training_complete", "saved"}


@pytest.fixture
def plugins():
    return load_plugins()


def untimed(events):
    """Give the events that a resume repeats or goes on with, without what a clock says."""
    drop = TIMES | {"run_id", "model_name"}
    return [
        {name: value for name, value in event.items() if name not in drop}
        for event in events
        if event["event"] not in RESUMES
    ]


def steps(events, kind="step"):
    return [event["iter"] for event in events if event["event"] == kind]


def test_a_step_is_logged_every_interval_with_all_figures(train, logged):
    train(**OFTEN)
    events = logged(kind="step")
    assert steps(events) == [3, 6, 9, 12]
    for event in events:
        assert event["max_iters"] == 12
        assert event["tokens_processed"] == 16 * event["iter"]
        assert event["grad_norm"] > 0
        assert event["train_loss"] > 0
        assert event["tokens_per_sec"] > 0
        assert event["memory_bytes"] > 10_000_000
        assert event["mfu"] is None  # of a CPU no peak is known
    rates = [event["lr"] for event in events]
    assert rates == sorted(rates, reverse=True) or len(set(rates)) > 1


def test_the_loss_of_a_step_is_that_of_its_own_batches(train, logged, monkeypatch):
    made, update = [], Updater.update

    def noted(self, *args, **more):
        result = update(self, *args, **more)
        made.append((float(result.loss), result.grad_norm))
        return result

    monkeypatch.setattr(Updater, "update", noted)
    train(**OFTEN, grad_accum_steps=2)
    events = logged(kind="step")
    assert [e["train_loss"] for e in events] == [
        pytest.approx(made[e["iter"] - 1][0], abs=1e-6) for e in events
    ]
    norms = [norm for _, norm in made]
    assert [norm is not None for norm in norms] == [(i + 1) % 3 == 0 for i in range(12)]


def test_the_norm_is_that_before_clipping_and_is_known_without_clipping(train, logged, digests):
    for name, clip in (("small", 1e-4), ("none", 0.0), ("large", 1e6)):
        train(name, **{**OFTEN, "grad_clip": clip, "max_iters": 3, "log_interval": 1})
    small, none, large = (logged(n, "step")[0]["grad_norm"] for n in ("small", "none", "large"))
    assert small == pytest.approx(none, rel=1e-5) == pytest.approx(large, rel=1e-5)
    assert small > 1e-4
    train("unlogged", **{**OFTEN, "grad_clip": 0.0, "max_iters": 3, "log_interval": 0})
    assert digests("unlogged") == digests("none")


def test_without_an_interval_no_step_is_logged(train, logged):
    train(**{**OFTEN, "log_interval": 0})
    assert steps(logged()) == []


def test_what_is_not_finite_is_null(train, logged):
    with pytest.raises(DivergedError):
        train(learning_rate=1e30, grad_clip=0, log_interval=1, eval_interval=100, max_iters=4)
    (failed,) = logged(kind="failed")
    assert failed["error"] == "DivergedError"
    assert any(event["train_loss"] is None for event in logged(kind="step"))
    assert any(event["grad_norm"] is None for event in logged(kind="step"))


@pytest.mark.parametrize("stop", [1, 3, 4, 6, 8, 11])
def test_a_run_that_was_stopped_anywhere_logs_the_same_steps(stop, train, stop_at, logged):
    train("whole", **OFTEN)
    stop_at(stop)
    train(**OFTEN)
    stop_at(None)
    train(**OFTEN)
    assert untimed(logged()) == untimed(logged("whole"))


@pytest.mark.parametrize("at", [2, 5, 7, 10])
def test_a_run_that_failed_keeps_that_in_its_log_and_goes_on_with_each_step_once(
    at, train, logged, monkeypatch
):
    train("whole", **OFTEN)
    update = Trainer.update

    def fail(self):
        if self.state.step == at:
            message = "the cable\nis out"
            raise RuntimeError(message)
        update(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", fail)
        with pytest.raises(RuntimeError):
            train(**OFTEN)
    (failed,) = logged(kind="failed")
    assert (failed["iter"], failed["error"], failed["reason"]) == (
        at,
        "RuntimeError",
        "the cable; is out",
    )
    assert logged()[-1] == failed
    train(**OFTEN)
    assert logged(kind="failed") == [failed]
    assert untimed(logged()) == untimed(logged("whole"))


def test_a_save_that_fails_is_a_failure_after_what_waited_for_it(train, logged, monkeypatch):
    from mypt.engine.checkpoints.checkpointer import Checkpointer
    from mypt.format.errors import Problem

    write = Checkpointer.write_own

    def fail(self, copy, state):
        if state.step == 6:
            raise SaveError(Problem("cat", "", "the disk is full", "free space"))
        write(self, copy, state)

    monkeypatch.setattr(Checkpointer, "write_own", fail)
    with pytest.raises(SaveError):
        train(**OFTEN)
    assert steps(logged(), "saved") == [0]
    (failed,) = logged(kind="failed")
    assert failed["error"] == "SaveError"
    assert "the disk is full" in failed["reason"]
    assert logged()[-1] == failed


def test_each_save_is_logged_once_it_is_on_disk_with_its_copies_and_size(train, logged, in_tmp):
    train(**OFTEN, snapshot_interval=9)
    events = logged(kind="saved")
    assert [event["iter"] for event in events] == [0, 6, 9, 12]
    (numbered,) = (event for event in events if event["iter"] == 9)
    assert numbered["copies"] == ["cat_step00000009"]
    assert "cat_fp16" in events[-1]["copies"]
    folders = ["cat", *numbered["copies"]]
    manifests = [
        json.loads((in_tmp / "checkpoints" / n / "manifest.json").read_text()) for n in folders
    ]
    copy_bytes = sum(file["size_bytes"] for file in manifests[1]["files"].values())
    assert numbered["size_bytes"] == pytest.approx(2 * copy_bytes, rel=0.01)
    assert numbered["folder"] == "checkpoints/cat"
    assert all(event["save_duration_s"] >= 0 for event in events)
    kinds = [
        event["event"] for event in logged() if event["event"] not in ("notice", "gold_blocked")
    ]
    assert kinds.index("saved") > kinds.index("eval")


def test_the_start_has_the_whole_config_and_what_computes_the_run(train, logged):
    train(**OFTEN, beta2=0.97)
    (start,) = logged(kind="training_start")
    assert start["config"]["beta2"] == 0.97
    assert start["config"]["rope_theta"] > 0
    assert start["config"]["tokens_per_step"] == 16
    assert start["config"]["log_interval"] == 3
    assert {"torch", "device", "device_name", "world_size", "mypt"} <= start["environment"].keys()
    assert start["run_id"]


BUILT = []


class Remembering:
    """A sink that has a number at some service."""

    def __init__(self, run):
        self.number = run.state.get("number", len(BUILT) + 1)
        BUILT.append((run.state, run.resumed))

    def emit(self, event):
        pass

    def state(self):
        return {"number": self.number}

    def close(self):
        pass


@pytest.fixture
def remembering(plugins):
    BUILT.clear()
    hook = hookimpl(lambda: [SinkFactory("numbered", build=Remembering)])
    plugins.register(
        SimpleNamespace(mypt_log_sinks=hook), PluginOrigin("numbered", "numbered", "1")
    )
    return BUILT


def test_a_sink_gets_back_what_it_kept_and_a_run_of_its_own_does_not(
    train, stop_at, remembering, in_tmp
):
    sinks = {"log_sinks": {"numbered": {}}}
    stop_at(4)
    train(**OFTEN, **sinks)
    stop_at(None)
    train(**OFTEN, **sinks)
    assert remembering == [({}, False), ({"number": 1}, True)]
    state = json.loads((in_tmp / "checkpoints/cat/training_state.json").read_text())
    assert state["sinks"] == {"numbered": {"number": 1}}
    train("cat_gold", **{**OFTEN, "max_iters": 14}, **sinks)
    train("tuned", **OFTEN, **sinks, init_from_model="cat")
    assert remembering[2:] == [({}, True), ({}, False)]


def test_what_a_sink_kept_outlives_a_resume_without_it(train, stop_at, remembering, in_tmp):
    stop_at(4)
    train(**OFTEN, log_sinks={"numbered": {}})
    stop_at(8)
    train(**OFTEN, log_sinks={"numbered": False})
    stop_at(None)
    train(**OFTEN, log_sinks={"numbered": {}})
    assert remembering == [({}, False), ({"number": 1}, True)]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"text": "x" * 70_000}, "`state` has 70012 bytes, more than 65536"),
        ([1], "`state` is not a JSON object"),
        ({"loss": float("nan")}, "not JSON compliant"),
    ],
)
def test_a_state_that_cannot_be_kept_stops_no_run_and_is_reported(
    state, said, train, logged, remembering, monkeypatch
):
    monkeypatch.setattr(Remembering, "state", lambda self: state)
    assert train(**OFTEN, log_sinks={"numbered": {}}).step == 12
    notices = [event["message"] for event in logged(kind="notice")]
    assert sum(said in notice for notice in notices) == 1
    assert train(**{**OFTEN, "max_iters": 13}, log_sinks={"numbered": {}}).step == 13


def test_fit_is_heard_by_sinks_as_the_command_is(plugins, text):
    heard = []
    sink = SimpleNamespace(emit=lambda event: heard.append(event["event"]), close=lambda: None)
    hook = hookimpl(lambda: [SinkFactory("ear", build=lambda run: sink)])
    plugins.register(SimpleNamespace(mypt_log_sinks=hook), PluginOrigin("ear", "ear", "1"))
    tokenizer = plugins.tokenizer("char").train(text)
    config = mypt.GPTConfig(
        block_size=8, n_embd=8, n_head=1, n_layer=1, batch_size=2, vocab_size=tokenizer.vocab_size
    )
    mypt.GPT(config, tokenizer, plugins=plugins).fit(
        mypt.GPTDataLoader(config, tokenizer, text=text),
        max_iters=4,
        eval_iters=1,
        log_interval=2,
        log_sinks={"ear": {}},
        quiet=True,
    )
    assert heard.count("update") == 4
    assert heard.count("step") == 2
    assert "saved" not in heard  # nothing is saved without checkpoint_dir
