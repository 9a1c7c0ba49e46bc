import io
import json
from types import SimpleNamespace

import pytest
from attrs import evolve
from rich.console import Console

import mypt
from mypt.engine.evaluation.gold import GoldDecision
from mypt.engine.logging import events
from mypt.engine.logging.console import ConsoleSink
from mypt.engine.logging.dispatch import EventDispatcher, open_sinks
from mypt.engine.logging.jsonl import JsonlSink, drop_after
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import GoldMemory, TrainingConfig
from mypt.format.errors import ConfigError, SaveError
from mypt.plugins import Evaluation, RunInfo, SinkFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins

TRAINING = TrainingConfig(max_iters=75000)


def eval_event(step, val=4.123456789, **sets):
    return events.evaluated(
        Evaluation(step=step, train_loss=4.0, val_loss=val, eval_losses=sets),
        TRAINING,
        lr=1.4e-5,
        elapsed_s=912.54,
        tokens_processed=34_406_400,
        eval_duration_s=12.34,
        phase="circuit_formation" if sets else "default",
    )


def one_step(step, max_iters):
    return events.Step(iter=step, max_iters=max_iters, train_loss=2.5, lr=0.1)


def complete_event():
    return events.training_complete(
        Evaluation(step=75000, train_loss=2.0, val_loss=2.6),
        TRAINING,
        started_at=events.now(),
        elapsed_s=2.0,
        tokens_processed=64,
        tokens_in_step=64,
        best_val_loss=None,
        gold_step=None,
    )


def write(path, resumed, start_step, *emitted):
    sink = JsonlSink(path)
    if resumed:
        sink.resume(start_step, start_step)
    for event in emitted:
        sink.emit(event.to_json())
    sink.close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_evaluation_has_the_documented_fields_and_rounding():
    event = eval_event(350, general=4.2345678).to_json()
    assert list(event)[:9] == [
        "event",
        "timestamp",
        "iter",
        "elapsed_s",
        "tokens_processed",
        "progress_pct",
        "lr",
        "phase",
        "train_loss",
    ]
    assert event["val_loss"] == 4.123457
    assert event["eval_general"] == 4.234568
    assert event["progress_pct"] == 0.47
    assert event["elapsed_s"] == 912.5


def test_the_log_has_a_line_per_event_and_none_per_step(tmp_path):
    path = tmp_path / "logs" / "run.jsonl"
    write(path, False, 0, eval_event(0), one_step(1, 10), eval_event(10))
    assert [line["iter"] for line in lines(path)] == [0, 10]


def test_a_loss_that_is_not_finite_is_null_in_the_log(tmp_path):
    write(tmp_path / "log", False, 0, eval_event(0, val=float("nan")))
    assert lines(tmp_path / "log")[0]["val_loss"] is None


def test_a_resumed_run_drops_what_it_will_do_again(tmp_path):
    path = tmp_path / "log"
    write(path, False, 0, eval_event(0), eval_event(100), eval_event(200))
    with path.open("a") as stream:
        stream.write('{"event": "eval", "iter": 3')  # killed inside a line
    write(path, True, 100, eval_event(200), eval_event(300))
    assert [line["iter"] for line in lines(path)] == [0, 100, 200, 300]


def test_what_is_told_at_the_step_of_a_resume_is_kept_if_it_is_not_done_again(tmp_path):
    path = tmp_path / "log"
    switch = events.PhaseSwitch(iter=100, elapsed_s=1.0, tokens_processed=1, new_phase="b")
    stopped, said = events.Interrupted(iter=101, folder="x"), events.Notice(message="something")
    write(path, False, 0, eval_event(50), eval_event(100), switch, said, stopped)
    kept = path.read_bytes()
    drop_after(path, 101, 100)
    assert path.read_bytes() == kept
    drop_after(path, 100, 100)  # the next update tells of the phase again
    assert [line["event"] for line in lines(path)] == ["eval", "eval"]
    drop_after(path, 100, 50)  # stopped in the evaluation of step 100
    assert [line["iter"] for line in lines(path)] == [50]


def test_what_another_run_told_before_is_kept(tmp_path):
    path = tmp_path / "log"
    begin = events.training_start(GPTConfig(), TRAINING, 10)
    write(path, False, 0, begin, eval_event(900), begin, eval_event(0), eval_event(100), begin)
    drop_after(path, 50, 0)
    assert [line.get("iter") for line in lines(path)] == [None, 900, None, 0]


def test_a_run_that_was_killed_before_its_first_save_is_told_of_once(tmp_path):
    path = tmp_path / "log"
    begin = events.training_start(GPTConfig(), TRAINING, 10)
    write(path, False, 0, begin, eval_event(0), begin)
    with path.open("a") as stream:
        stream.write('{"event": "eval", "iter": 0')
    begin_anew(path)
    assert [line["event"] for line in lines(path)] == ["training_start"]


@pytest.mark.parametrize(
    "last", [events.Interrupted(iter=0, folder="m"), complete_event(), eval_event(100)]
)
def test_a_new_run_leaves_the_log_of_one_that_saved_alone(tmp_path, last):
    path = tmp_path / "log"
    write(path, False, 0, eval_event(0), last)
    kept = path.read_bytes()
    with path.open("a") as stream:
        stream.write('{"event": "ev')
    begin_anew(path)
    assert path.read_bytes() == kept


def test_lines_of_others_are_left_alone(tmp_path):
    path = tmp_path / "log"
    path.write_text('{"iter": "many"}\n[1]\nnot JSON\n{"iter": null}\n')
    kept = path.read_bytes()
    drop_after(path, 0, 0)
    begin_anew(path)
    assert path.read_bytes() == kept


def begin_anew(path):
    sink = JsonlSink(path)
    sink.start_over()
    sink.close()


def test_a_new_run_leaves_an_older_log_of_that_name_alone(tmp_path):
    path = tmp_path / "log"
    write(path, False, 0, eval_event(100))
    write(path, False, 0, eval_event(0))
    assert [line["iter"] for line in lines(path)] == [100, 0]


def test_a_log_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="cannot be written"):
        write(tmp_path / "file" / "log", False, 0, eval_event(0))


def console_lines(*emitted):
    stream = io.StringIO()
    sink = ConsoleSink(Console(file=stream, width=200))
    for event in emitted:
        sink.emit(event.to_json())
    sink.close()
    return stream.getvalue().splitlines()


def test_the_console_prints_the_two_line_summary():
    start = events.training_start(GPTConfig(), TRAINING, 10)
    told = [start, eval_event(0), eval_event(350, general=4.2345678)]
    shown = console_lines(*(evolve(event, timestamp="2026-02-09T14:30:00") for event in told))
    assert shown[1] == "step 0/75000 (0.0%) | 14:30:00 | 15m | ETA ? | 34M tokens"
    assert shown[3:] == [
        "step 350/75000 (0.5%) | 14:30:00 | 15m | ETA 0s | 34M tokens",
        "  val 4.1235 | train 4.0000 | lr 1.40e-05 | phase: circuit_formation | general 4.2346",
    ]


def test_the_console_foretells_the_end_by_the_steps_of_this_run():
    training = evolve(TRAINING, max_iters=1000, start_step=100)
    moments = [f"2026-02-09T14:30:{second}" for second in ("00", "50", "52")]
    told = [events.training_start(GPTConfig(), training, 10), eval_event(200), eval_event(300)]
    shown = console_lines(
        *(evolve(event, timestamp=moment) for event, moment in zip(told, moments, strict=True))
    )
    assert "| ETA 7m |" in shown[1]  # 800 steps of half a second, as the first ones took
    assert "| ETA 14s |" in shown[3]  # 700 steps, at the pace after the first evaluation


def test_the_console_foretells_nothing_of_a_run_that_is_at_its_end():
    start = events.training_start(GPTConfig(), TRAINING, 10)
    shown = console_lines(start, eval_event(TRAINING.max_iters))
    assert "ETA" not in shown[1]
    assert shown[1].endswith(" | 15m | 34M tokens")


def test_the_console_tells_of_gold():
    def decided(promoted, reasons):
        decision = GoldDecision(promoted, reasons, 0.49, GoldMemory())
        return events.gold_decided(eval_step, decision, 0.5173)

    eval_step = Evaluation(step=600, train_loss=0.1, val_loss=0.49)
    assert console_lines(decided(True, ()), decided(False, ("overfit: x",))) == [
        "  GOLD checkpoint! val_loss=0.4900 at step 600",
        "  GOLD blocked: val 0.4900 < best 0.5173 but overfit: x",
    ]


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


def test_on_a_terminal_a_bar_shows_the_steps_and_leaves_with_the_run():
    stream = io.StringIO()
    sink = ConsoleSink(Console(file=stream, force_terminal=True, width=120))
    sink.emit(events.training_start(GPTConfig(), TrainingConfig(max_iters=3), 10).to_json())
    for step in (1, 2, 3):
        sink.emit(one_step(step, 3).to_json())
    sink.emit(eval_event(3).to_json())
    sink.close()
    shown = stream.getvalue()
    assert "3/3" in shown
    assert "loss 2.5000" in shown
    assert "val 4.1235" in shown
    assert shown.endswith("\x1b[2K")  # the bar's line is cleared at the end


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
    told = lines(log)
    notices = [event["message"] for event in told if event["event"] == "notice"]
    assert sum("sink" in notice for notice in notices) == 1
    assert any(said in notice for notice in notices)
    assert [event["iter"] for event in told if event["event"] == "eval"] == [0, 2, 4]


def test_a_step_tells_the_loss_of_the_update_before_and_the_first_its_own(text):
    told = []

    class Losses:
        def __init__(self, run):
            pass

        def emit(self, event):
            if event["event"] == "step":
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
    first = model.loss(*loader.train_batch(TrainingConfig().seed, 0, 0)).item()
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
    assert [line["event"] for line in lines(tmp_path / "log")] == ["notice", "eval", "eval", "eval"]
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
