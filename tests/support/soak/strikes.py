"""What befalls a process: signals, a full disk and a loss of power, at a call or a moment."""

import errno
import os
import random
import shutil
import signal
import threading
import time
import warnings
from functools import partial

from attrs import frozen

from tests.support.crash.disk import CALLS as RECORDED
from tests.support.crash.disk import Recorder, rebuilt
from tests.support.processes.command import Command

CALLS = ("open", "write", "fsync", "close", "replace", "rename", "unlink", "mkdir", "rmdir")
FILLING = ("open", "write", "mkdir")  # what fails on a full disk
SIGNALS = {
    "kill": (signal.SIGKILL,),
    "term": (signal.SIGTERM,),
    "ctrl-c": (signal.SIGINT,),
    "ctrl-c twice": (signal.SIGINT, signal.SIGINT),
}
LATE = {
    "late kill": signal.SIGKILL,
    "late term": signal.SIGTERM,
    "late ctrl-c": signal.SIGINT,
}
KINDS = (*SIGNALS, "kill", "kill", *LATE, "full disk", "power cut")


@frozen
class Strike:
    """What befalls a process.

    Attributes:
        kind: One of `KINDS`, or "none".
        at: The call to the system before which it comes.
        after_s: When it comes, of what is late, which comes from outside.
        seed: What decides which of the unsynced is on the disk after a loss of power.
    """

    kind: str = "none"
    at: int = 0
    after_s: float = 0.0
    seed: int = 0

    @classmethod
    def draw(cls, chance, most_calls, most_s):
        """Draw one, more often one of the first calls."""
        at = int(most_calls ** chance.random())
        return cls(chance.choice(KINDS), at, chance.random() * most_s, chance.randrange(10**6))

    @property
    def number(self):
        """The signal that comes from outside, if one does."""
        return LATE.get(self.kind)

    @property
    def signals(self):
        """The signals of which the process may die: one that comes early meets no handler."""
        dying = {"power cut": (signal.SIGKILL,), **SIGNALS}
        return dying.get(self.kind, (self.number,) if self.number else ())


def struck(words, place, strike):
    """Run `mypt` in a place with what befalls it; give its exit code and what it said.

    A loss of power leaves the `checkpoints` of the place as the disk has them then.
    """
    checkpoints, found = place / "checkpoints", place / "found"
    command = Command(*words, cwd=place, arm=partial(_arm, strike, checkpoints, found))
    if strike.number:
        time.sleep(strike.after_s)
        command.send(strike.number)
    said = command.wait()
    if found.exists():
        took = place / "took"
        checkpoints.rename(took)
        found.rename(checkpoints)
        shutil.rmtree(took)
    return command.code, said


def _arm(strike, checkpoints, found):
    """Exchange the calls of `os` in this process, which is used for nothing else."""
    warnings.simplefilter("ignore", ResourceWarning)  # whom a signal ends closes nothing
    if strike.kind in SIGNALS:
        _count(partial(_signal, strike, list(SIGNALS[strike.kind])))
    elif strike.kind == "full disk":
        _count(partial(_fail, strike))
    elif strike.kind == "power cut":
        checkpoints.mkdir(exist_ok=True)
        _record(strike, checkpoints, found)


def _count(before):
    lock, made = threading.Lock(), 0

    def wrap(name, call):
        def wrapped(*args, **more):
            nonlocal made
            with lock:
                made += 1
                number = made
            before(name, number, args, call)
            return call(*args, **more)

        return wrapped

    for name in CALLS:
        setattr(os, name, wrap(name, getattr(os, name)))


def _signal(strike, left, name, made, args, call):
    if made >= strike.at and left:
        number = left.pop(0)
        if name == "write" and strike.seed % 2 and number == signal.SIGKILL:
            call(args[0], args[1][: len(args[1]) // 2])
        os.kill(os.getpid(), number)


def _fail(strike, name, made, args, call):
    if made >= strike.at and name in FILLING and _writes(name, args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _writes(name, args):
    return name != "open" or args[1] & os.O_CREAT


def _record(strike, checkpoints, found):
    """Keep a model of the disk; once it is time, lose power."""
    recorder, lock, made = Recorder(checkpoints), threading.RLock(), 0

    def wrap(name):
        def wrapped(*args, **more):
            nonlocal made
            with lock:
                result = getattr(recorder, name)(*args, **more)
                made += 1
                if made == strike.at:
                    for known, call in recorder.real.items():
                        setattr(os, known, call)
                    (state,) = recorder.disk.states(1, random.Random(strike.seed))
                    rebuilt(found, state)
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    for name in RECORDED:
        setattr(os, name, wrap(name))
