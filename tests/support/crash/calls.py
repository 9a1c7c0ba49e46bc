"""Die, or fail, at a call that a writer makes to the system.

The calls are counted in the process that makes them, by wrapping the functions of `os` through
which all that is written of a bundle goes.
"""

import os
import signal
import stat
from contextlib import nullcontext

from tests.support.processes.child import Child

CALLS = (
    *("open", "write", "fsync", "close", "replace", "rename", "unlink"),
    *("ftruncate", "mkdir", "rmdir"),
)


def acting(scene, place, before_call, system=nullcontext):
    """Act with `before_call(name, k, args)` hearing of the k-th call; give what came of it.

    Args:
        scene: What is done.
        place: Where.
        before_call: Called before each call.
        system: The operating system on which it is done.
    """
    with system():
        return _act_and_count(scene, place, before_call)


def _act_and_count(scene, place, before_call):
    real = {name: getattr(os, name) for name in CALLS}
    made = 0

    def wrap(name):
        def wrapped(*args, **more):
            nonlocal made
            made += 1
            before_call(name, made, args)
            return real[name](*args, **more)

        return wrapped

    for name in CALLS:
        setattr(os, name, wrap(name))
    try:
        return scene.outcome(place)
    finally:
        for name, call in real.items():
            setattr(os, name, call)


def calls_of(scene, place, system=nullcontext):
    """Name the calls of an act that nothing interrupts."""
    names = []

    def work():
        outcome = acting(scene, place, lambda name, *_: names.append(name), system)
        assert outcome == "done", outcome
        return " ".join(names)

    said = Child(work).wait()
    assert not said.startswith("Traceback"), said
    calls = said.split()
    assert {"open", "write", "fsync", "close"} <= set(calls) <= set(CALLS)
    return calls


def killed(scene, place, point, *, halfway, system=nullcontext):
    """Act in a process that is killed before its k-th call, or halfway through a write."""
    write = os.write

    def die(_, made, args):
        if made == point:
            if halfway:
                descriptor, data = args
                write(descriptor, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    return Child(lambda: acting(scene, place, die, system)).wait() is None


def failed(scene, place, point, code, *, lasting, system=nullcontext):
    """Act with an error at the k-th call, and at all after it if lasting; give what came of it."""
    close = os.close

    def fail(name, made, args):
        if made == point or (lasting and made > point):
            if name == "close":
                if stat.S_ISDIR(os.fstat(*args).st_mode):
                    return  # has nothing to write; and `shutil.rmtree` would close it again
                close(*args)  # a descriptor is gone also where closing it fails
            raise OSError(code, os.strerror(code))

    return Child(lambda: acting(scene, place, fail, system)).wait()
