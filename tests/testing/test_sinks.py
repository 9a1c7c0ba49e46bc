"""The kit finds nothing wrong with mypt's own sinks, and what is wrong with others."""

import json
import sys

import pytest

import mypt.engine.plugin
from mypt.plugins import SinkFactory
from mypt.testing import ContractError, check_sink

FACTORIES = {factory.name: factory for factory in mypt.engine.plugin.mypt_log_sinks()}


def steps_of_lines(folder):
    lines = (folder / "logs" / "tiny.jsonl").read_text().splitlines()
    events = map(json.loads, lines)
    return [event["iter"] for event in events if event["event"] == "eval"]


def test_nothing_is_wrong_with_the_log_of_mypt():
    check_sink(FACTORIES["jsonl"], steps_of_lines)


def test_nothing_is_wrong_with_the_console_of_mypt(capsys):
    check_sink(FACTORIES["console"])
    assert "step 40/40" in capsys.readouterr().out


class Steps:
    """Writes the step of each evaluation on a line of its own."""

    def __init__(self, run):
        self.path = run.log_file.with_suffix(".steps")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if run.resumed:
            kept = [n for n in self.path.read_text().split() if int(n) <= run.evaluated_step]
            self.path.write_text("".join(f"{n}\n" for n in kept))

    def emit(self, event):
        if event["event"] == "eval":
            with self.path.open("a") as stream:
                stream.write(f"{event['iter']}\n")

    def close(self):
        pass


def read_steps(folder):
    return [int(n) for n in (folder / "logs" / "tiny.steps").read_text().split()]


def check(cls):
    build = lambda run: None if run.log_file is None else cls(run)  # noqa: E731
    check_sink(SinkFactory("steps", build=build), read_steps)


def test_a_sink_that_is_right_passes():
    check(Steps)


class Twice(Steps):
    def emit(self, event):
        super().emit(event)
        super().emit(event)


class Backwards(Steps):
    def emit(self, event):
        if event["event"] == "eval":
            held = self.path.read_text() if self.path.exists() else ""
            self.path.write_text(f"{event['iter']}\n{held}")


class Careless(Steps):
    def __init__(self, run):
        self.path = run.log_file.with_suffix(".steps")


class Meddles(Steps):
    def emit(self, event):
        event["seen"] = True


class Exits(Steps):
    def __init__(self, run):
        try:
            super().__init__(run)
        except OSError:
            sys.exit("no room")


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Twice, r"for a whole run it has written evaluations \[10, 10"),
        (Backwards, r"\[40, 30, 20, 10\]"),
        (Careless, r"resumed from step 20 it has written evaluations \[10, 20, 30, 30, 40\]"),
        (Meddles, "changes the event training_start"),
        (Exits, "fails with SystemExit, which ends the run"),
    ],
)
def test_a_wrong_sink_is_told_what_it_does_wrong(cls, message):
    with pytest.raises(ContractError, match=message):
        check(cls)


def test_a_sink_that_knows_only_some_events_says_at_which_it_failed():
    class Narrow(Steps):
        def emit(self, event):
            {"training_start": 1}[event["event"]]

    with pytest.raises(ContractError, match="the event notice: it raises KeyError: 'notice'"):
        check(Narrow)


def test_a_sink_that_wants_no_run_is_told_so():
    with pytest.raises(ContractError, match="builds no sink"):
        check_sink(SinkFactory("none", build=lambda run: None))


def test_what_is_no_sink_is_named():
    with pytest.raises(ContractError, match="returns int, which lacks `emit`, `close`"):
        check_sink(SinkFactory("odd", lambda run: 5))
