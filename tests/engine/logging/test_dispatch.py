from types import SimpleNamespace

import pytest
from attrs import evolve

import mypt
from mypt.engine.logging import events
from mypt.engine.logging.dispatch import EventDispatcher, open_sinks
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError
from mypt.plugins import RunInfo, SinkFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins
from tests.support.events import eval_event, read_lines


def test_a_failing_sink_is_reported_once_and_the_others_go_on():
    heard = []

    class Ear:
        def emit(self, event):
            heard.append(event.get("message", event["event"]))

        def close(self):
            heard.append("closed")

    class Broken:
        def emit(self, event):
            raise ValueError("no disk")

        def close(self):
            raise ValueError("still none")

    dispatcher = EventDispatcher({"mine": Broken(), "ear": Ear()})
    dispatcher.emit(events.Notice(message="one"))
    dispatcher.emit(events.Notice(message="two"))
    dispatcher.close()
    assert heard == ["log sink mine failed and is off: ValueError: no disk", "one", "two", "closed"]


def test_sinks_that_all_fail_stop_no_run_and_are_closed_once_each():
    heard = []

    class Broken:
        def __init__(self, name):
            self.name = name

        def emit(self, event):
            heard.append(f"{self.name} fails")
            raise ValueError("no disk")

        def state(self):
            raise ValueError("no disk")

        def close(self):
            heard.append(f"{self.name} is closed")

    dispatcher = EventDispatcher({name: Broken(name) for name in ("one", "two", "three")})
    dispatcher.emit(events.Notice(message="hello"))
    dispatcher.close()
    # The notice that one has failed is what the next fails at.
    names = ("one", "two", "three")
    assert heard[:3] == ["one fails", "one is closed", "two fails"]
    assert sorted(heard) == sorted(
        f"{name} {what}" for name in names for what in ("fails", "is closed")
    )
    saving = EventDispatcher({name: Broken(name) for name in names})
    assert saving.collect_states() == {}


class Tattered:
    """Takes the events before the first evaluation, and no more."""

    def emit(self, event):
        if event["event"] == "eval":
            raise RuntimeError("no disk")

    def close(self):
        raise RuntimeError("still none")


def no_sink(run):
    raise RuntimeError("no network")


def end_of_all(run):
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda run: Tattered(), "log sink mine failed and is off: RuntimeError: no disk"),
        (no_sink, "failed in `build` of its log sink `mine`: RuntimeError: no network; "),
        (end_of_all, "failed in `build` of its log sink `mine`: SystemExit: 3; "),
    ],
)
def test_a_sink_of_a_plugin_that_fails_stops_no_run_and_is_reported_once(
    build, said, text, tmp_path
):
    plugins = load_plugins()
    hook = hookimpl(lambda: [SinkFactory("mine", build)])
    source = PluginOrigin("mine", "acme-mine", "1.0")
    plugins.register(SimpleNamespace(mypt_log_sinks=hook), source)
    tokenizer = plugins.tokenizer("char").train(text)
    config = GPTConfig(block_size=8, n_embd=8, n_head=1, n_layer=1, batch_size=2)
    config = evolve(config, vocab_size=tokenizer.vocab_size)
    model = mypt.GPT(config, tokenizer, plugins=plugins)
    log = tmp_path / "log"
    state = model.fit(
        mypt.GPTDataLoader(config, tokenizer, text=text),
        max_iters=4,
        eval_interval=2,
        eval_iters=1,
        checkpoint_dir=tmp_path / "m",
        log_file=str(log),
        log_sinks={"mine": {}},
        quiet=True,
    )
    assert state.step == 4
    told = read_lines(log)
    notices = [event["message"] for event in told if event["event"] == "notice"]
    assert sum("sink" in notice for notice in notices) == 1
    (notice,) = (notice for notice in notices if said in notice)
    assert "plugin mine of acme-mine 1.0" in notice
    assert "disable it: mypt --disable-plugin mine" in notice
    assert [event["iter"] for event in told if event["event"] == "eval"] == [0, 2, 4]


def test_an_update_tells_the_loss_of_the_update_before_and_the_first_its_own(text):
    told = []

    class Losses:
        def __init__(self, run):
            pass

        def emit(self, event):
            if event["event"] == "update":
                told.append(event["train_loss"])

        def close(self):
            pass

    plugins = load_plugins()
    hook = hookimpl(lambda: [SinkFactory("losses", build=Losses)])
    plugins.register(SimpleNamespace(mypt_log_sinks=hook), PluginOrigin("losses", "losses", "1"))
    tokenizer = plugins.tokenizer("char").train(text)
    config = GPTConfig(block_size=8, n_embd=8, n_head=1, n_layer=1, batch_size=2, dropout=0.0)
    model = mypt.GPT(evolve(config, vocab_size=tokenizer.vocab_size), tokenizer, plugins=plugins)
    loader = mypt.GPTDataLoader(model.config, tokenizer, text=text)
    first = model.loss(*loader.train_batch(TrainingConfig().seed, 0, 0)[:3]).item()
    model.fit(loader, max_iters=4, eval_iters=1, log_sinks={"losses": {}}, quiet=True)
    assert told[:2] == [first, first]
    assert len(set(told)) == 3


def test_a_run_is_heard_by_the_sinks_it_names_and_by_mypt_s_own(tmp_path):
    heard = []

    class Ear:
        def __init__(self, run):
            self.options = run.options

        def emit(self, event):
            heard.append((self.options, event.get("message", event["event"])))

        def close(self):
            pass

    class Offers:
        @hookimpl
        def mypt_log_sinks(self):
            schema = {"properties": {"loud": {"type": "boolean"}}}
            return [SinkFactory("ear", build=Ear, options=schema)]

    plugins = load_plugins()
    plugins.register(Offers(), PluginOrigin("ears", "ears", "1"))
    run = RunInfo("tiny", tmp_path / "log", quiet=True)
    dispatchers = [
        open_sinks(run, plugins, wanted)
        for wanted in ({}, {"ear": {"loud": True}}, {"ear": {}, "eer": {}}, {"jsonl": False})
    ]
    for dispatcher in dispatchers:
        dispatcher.emit(eval_event(0))
        dispatcher.close()
    near = "there is no log sink eer installed (did you mean `ear`?)"
    assert heard == [({}, near), ({"loud": True}, "eval"), ({}, "eval")]
    assert [line["event"] for line in read_lines(tmp_path / "log")] == [
        "notice",
        "eval",
        "eval",
        "eval",
    ]
    with pytest.raises(ConfigError, match="log_sinks/ear/loud: is 3, not true or false; write"):
        open_sinks(run, plugins, {"ear": {"loud": 3}})


def test_a_sink_that_wants_to_end_the_program_is_left_out_like_a_failing_one():
    class Quitting:
        def emit(self, event):
            raise SystemExit(3)

        def close(self):
            raise SystemExit(4)

    heard = []
    ear = SimpleNamespace(emit=lambda event: heard.append(event["event"]), close=lambda: None)
    dispatcher = EventDispatcher({"mine": Quitting(), "ear": ear})
    dispatcher.emit(events.Notice(message="one"))
    dispatcher.close()
    assert heard == ["notice", "notice"]


def test_what_is_logged_waits_for_the_event_that_is_to_come_first():
    heard = []
    ear = SimpleNamespace(emit=heard.append, close=lambda: None)
    dispatcher = EventDispatcher({"ear": ear})
    dispatcher.hold()
    switch = events.PhaseSwitch(iter=6, elapsed_s=1.0, tokens_processed=1, new_phase="b")
    step = events.Update(iter=7, max_iters=9, train_loss=1.0, lr=0.1)
    gold = events.GoldCheckpoint(iter=6, val_loss=1.0, gold_loss=None, prev_best=None)
    dispatcher.emit(switch)
    dispatcher.emit(step)  # of the moment, and in no log
    assert heard == [step.to_json()]
    dispatcher.release(gold)
    dispatcher.emit(eval_event(12))
    assert [event["event"] for event in heard[1:]] == ["gold_checkpoint", "phase_switch", "eval"]
    dispatcher.close()


def test_a_sink_that_fails_meanwhile_is_reported_after_the_event_that_comes_first():
    heard = []

    class Broken:
        def emit(self, event):
            raise ValueError("no disk")

    ear = SimpleNamespace(emit=lambda event: heard.append(event["event"]), close=lambda: None)
    dispatcher = EventDispatcher({"ear": ear, "mine": Broken()})
    dispatcher.hold()
    dispatcher.emit(events.Update(iter=7, max_iters=9, train_loss=1.0, lr=0.1))
    dispatcher.release(events.Notice(message="it comes"))
    assert heard == ["update", "notice", "notice"]


def test_a_sink_that_does_not_close_is_reported_in_one_line_to_those_before_it():
    heard = []

    class Ear:
        def __init__(self):
            self.is_open = True

        def emit(self, event):
            assert self.is_open
            heard.append(event["message"])

        def close(self):
            self.is_open = False

    class Broken(Ear):
        def close(self):
            raise ValueError("no disk\nat all")

    EventDispatcher({"first": Ear(), "mine": Broken(), "last": Ear()}).close()
    assert heard == ["log sink mine did not close: ValueError: no disk"]


@pytest.mark.parametrize("state", [{"a": "\ud800"}, {"a": "\u20ac" * 30_000}, {"a": {1}}, {1: 2}])
def test_a_state_that_cannot_be_saved_costs_its_sink_alone(state):
    heard = []
    ear = SimpleNamespace(emit=lambda event: heard.append(event["message"]), close=lambda: None)
    keeper = SimpleNamespace(emit=lambda _: None, close=lambda: None, state=lambda: state)
    dispatcher = EventDispatcher({"ear": ear, "mine": keeper})
    assert dispatcher.collect_states() == {}
    (message,) = heard
    assert message.startswith("log sink mine failed and is off: ")
    assert message.isprintable()
