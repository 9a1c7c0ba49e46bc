"""One process of `mypt train`, perhaps interrupted at a moment of it that has a name."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from attrs import asdict, frozen

from mypt.cli import main
from mypt.data.batches.loader import GPTDataLoader
from mypt.engine.checkpoints.checkpointer import Checkpointer
from mypt.engine.logging.jsonl import JsonlSink
from mypt.engine.training import run as training
from mypt.engine.training import step_evaluation
from tests.support.paths import ROOT
from tests.support.processes.child import Child

# Those of a save, as often in any process.
CALLS = ("open", "write", "fsync", "close", "replace", "unlink")


@frozen(order=True)
class Moment:
    """A place in a run that every run on the same data passes.

    Attributes:
        step: Updates done before.
        kind: evaluation (index: batches drawn), log (of its line), save (calls made to the
            system), or update (micro steps begun); "start" is the pre-flight of each process.
        index: How many of what the kind says.
    """

    step: int
    kind: str
    index: int


@frozen
class Interruption:
    """What happens at a moment.

    Attributes:
        moment: When.
        signals: Numbers of the signals that the process gets, one at each such moment from then on.
        torn: Whether half of the line is written to the log before.
    """

    moment: Moment
    signals: tuple[int, ...]
    torn: bool = False

    @property
    def kills(self):
        """Whether the process gets no chance to save."""
        return signal.SIGKILL in self.signals

    def __str__(self):
        names = " ".join(signal.Signals(number).name for number in self.signals)
        kind = "torn log" if self.torn else self.moment.kind
        return f"{names} at {kind} {self.moment.step}.{self.moment.index}"


@frozen
class Ending:
    """How a process ended.

    Attributes:
        code: Its exit code; None if a signal ended it.
        said: What it printed; "" if a signal ended it.
        passed: The moments that it passed; empty if a signal ended it.
    """

    code: int | None
    said: str = ""
    passed: tuple[Moment, ...] = ()


class Listener:
    """Hears of every moment of this process, and interrupts it at one of them."""

    def __init__(self, interruption, fired):
        self.passed = []
        self._interruption = interruption
        self._signals = list(interruption.signals) if interruption else []
        self._fired = fired
        self._evaluated = self._batches = self._calls = 0
        self._saved = None

    def hear(self, step, kind, index, torn=lambda: None):
        """Note a moment; from the one that was chosen on, send a signal at each of its kind."""
        moment = Moment(step, kind, index)
        self.passed.append(moment)
        if not self._signals:
            return
        chosen = self._interruption.moment
        if kind == chosen.kind and (step, index) >= (chosen.step, chosen.index):
            self._fired.mkdir(exist_ok=True)
            if self._interruption.torn:
                torn()
            os.kill(os.getpid(), self._signals.pop(0))

    def listen(self):
        """Wrap what a run calls; for a process that ends with the run."""
        for owner, name, wrapper in (
            (training, "check_before_training", self._starting),
            (step_evaluation, "evaluate", self._evaluating),
            (GPTDataLoader, "eval_batch", self._drawing_to_evaluate),
            (GPTDataLoader, "train_batch", self._drawing_to_train),
            (JsonlSink, "emit", self._logging),
            (Checkpointer, "write_copies", self._saving),
            (Checkpointer, "write_own", self._saving),
        ):
            setattr(owner, name, wrapper(getattr(owner, name)))
        for name in CALLS:
            setattr(os, name, self._calling(getattr(os, name)))

    def _starting(self, check):
        def wrapped(*args, **more):
            self.hear(0, "start", 0)
            check(*args, **more)
            self.hear(0, "start", 1)

        return wrapped

    def _evaluating(self, evaluate):
        def wrapped(*args, **more):
            self._evaluated, self._batches = args[5], 0
            try:
                return evaluate(*args, **more)
            finally:
                self._evaluated = None

        self._evaluated = None
        return wrapped

    def _drawing_to_evaluate(self, draw):
        def wrapped(*args, **more):
            if self._evaluated is not None:
                self.hear(self._evaluated, "evaluation", self._batches)
                self._batches += 1
            return draw(*args, **more)

        return wrapped

    def _drawing_to_train(self, draw):
        def wrapped(loader, seed, step, micro_step, *args, **more):
            self.hear(step, "update", micro_step)
            return draw(loader, seed, step, micro_step, *args, **more)

        return wrapped

    def _logging(self, emit):
        def wrapped(sink, event):
            if event["event"] != "eval":
                return emit(sink, event)
            if self._interruption and self._interruption.torn:
                self.hear(event["iter"], "log", 0, lambda: tear(sink, event))
            emit(sink, event)
            return self.hear(event["iter"], "log", 0)

        return wrapped

    def _saving(self, write):
        def wrapped(checkpointer, copy, state, **more):
            if self._saved != state.step:  # the first part of the save
                self._saved, self._calls = state.step, 0
            write(checkpointer, copy, state, **more)

        return wrapped

    def _calling(self, call):
        def wrapped(*args, **more):
            if self._saved is not None and threading.current_thread().name.startswith("mypt-saver"):
                self._calls += 1
                self.hear(self._saved, "save", self._calls)
            return call(*args, **more)

        return wrapped


def tear(sink, event):
    """Write half of an event's line."""
    line = json.dumps(event)
    sink._stream.write(line[: len(line) // 2])
    sink._stream.flush()


def work(place, arguments, interruption, broken=lambda: None):
    """Run `mypt train` in this process, which must not be used for anything else then."""
    os.chdir(place)
    said = sys.stdout = sys.stderr = io.StringIO()
    listener = Listener(interruption, place / "fired")
    broken()
    listener.listen()
    code = main.run(main.mypt_group, "mypt", ["train", *arguments])
    passed = [asdict(moment) for moment in listener.passed]
    return json.dumps({"code": code, "said": said.getvalue(), "passed": passed})


def run(place, arguments, interruption=None, *, broken=lambda: None, fork=True):
    """Run `mypt train` in a process of its own; give how it ended.

    Args:
        place: Where it runs.
        arguments: Those of `mypt train`.
        interruption: What happens to it; it must.
        broken: Breaks something of mypt in that process.
        fork: Take a copy of this process, which saves starting Python and torch. CUDA cannot be
            used in one.
    """
    fired = place / "fired"
    if fired.exists():
        fired.rmdir()
    if fork:
        answer = Child(lambda: work(place, arguments, interruption, broken)).wait()
    else:
        answer = run_fresh(place, arguments, interruption)
    assert fired.exists() == bool(interruption), f"{interruption}: {answer}"
    if answer is None:
        return Ending(None)
    assert answer.startswith("{"), answer
    told = json.loads(answer)
    assert "Traceback" not in told["said"], told["said"]
    return Ending(told["code"], told["said"], tuple(Moment(**each) for each in told["passed"]))


def run_fresh(place, arguments, interruption):
    """Run it in a new Python; None if a signal ended it."""
    told = None
    if interruption:
        told = [asdict(interruption.moment), interruption.signals, interruption.torn]
    command = [sys.executable, "-m", "tests.support.resume.runs", str(place)]
    command.append(json.dumps([arguments, told]))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        return None
    return done.stdout or done.stderr


if __name__ == "__main__":
    given, about = json.loads(sys.argv[2])
    chosen = about and Interruption(Moment(**about[0]), tuple(about[1]), about[2])
    stdout = sys.stdout
    print(work(Path(sys.argv[1]), given, chosen), file=stdout)
