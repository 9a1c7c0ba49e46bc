"""Die, or fail, at every single call that a writer makes to the system: nothing is ever lost.

The calls are counted in the process that makes them, by wrapping the functions of `os` through
which all that is written of a bundle goes.
"""

import errno
import os
import signal
from contextlib import suppress

import pytest

from tests.support.crash.scene import sample, tree
from tests.support.crash.scenes import SCENES
from tests.support.processes.child import Child

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the points are those of POSIX")

CALLS = (
    *("open", "write", "fsync", "close", "replace", "rename", "unlink"),
    *("ftruncate", "mkdir", "rmdir"),
)


def acting(scene, place, before_call):
    """Act with `before_call(name, k, args)` hearing of the k-th call; give what came of it."""
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


def calls_of(scene, place):
    """Name the calls of an act that nothing interrupts."""
    names = []

    def work():
        assert acting(scene, place, lambda name, *_: names.append(name)) == "done"
        return " ".join(names)

    calls = Child(work).wait().split()
    assert {"open", "write", "fsync", "close"} <= set(calls) <= set(CALLS)
    return calls


def killed(scene, place, point, *, halfway):
    """Act in a process that is killed before its k-th call, or halfway through a write."""
    write = os.write

    def die(_, made, args):
        if made == point:
            if halfway:
                descriptor, data = args
                write(descriptor, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    return Child(lambda: acting(scene, place, die)).wait() is None


def failed(scene, place, point, code, *, lasting):
    """Act with an error at the k-th call, and at all after it if lasting; give what came of it."""
    close = os.close

    def fail(name, made, args):
        if made == point or (lasting and made > point):
            if name == "close":
                with suppress(OSError):  # `shutil.rmtree` closes again where closing failed
                    close(*args)  # a descriptor is gone also where closing it fails
            raise OSError(code, os.strerror(code))

    return Child(lambda: acting(scene, place, fail)).wait()


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_whoever_is_killed_at_any_call_leaves_what_was_or_what_is_to_be(scene, fresh):
    calls = calls_of(scene, fresh(scene))
    points = [(point, False) for point in range(1, len(calls) + 1)]
    points += [(point, True) for point, name in enumerate(calls, 1) if name == "write"]
    found = []
    for point, halfway in sample(sorted(points), 12):
        place = fresh(scene)
        assert killed(scene, place, point, halfway=halfway)
        found.append(scene.check(place))
    assert set(found) >= {scene.stages[0], scene.stages[-1]}
    assert found == sorted(found, key=scene.stages.index)  # nothing that was done is undone
    assert not killed(scene, fresh(scene), len(calls) + 1, halfway=False)
    print(f"{scene}: killed at {len(found)} of {len(points)} points")


@pytest.mark.parametrize("scene", SCENES, ids=str)
@pytest.mark.parametrize(
    ("code", "lasting"),
    [
        pytest.param(errno.EIO, False, id="EIO", marks=pytest.mark.slow),
        pytest.param(errno.ENOSPC, False, id="ENOSPC"),
        pytest.param(errno.EACCES, False, id="EACCES", marks=pytest.mark.slow),
        pytest.param(errno.EIO, True, id="EIO from then on"),
    ],
)
def test_an_error_at_any_call_leaves_what_was_or_what_is_to_be(scene, code, lasting, fresh):
    calls = calls_of(scene, fresh(scene))
    points = sample(range(1, len(calls) + 1), 4)
    for point in points:
        place = fresh(scene)
        before = tree(place)
        said = failed(scene, place, point, code, lasting=lasting)
        if said == "done":
            assert scene.find(place) == scene.stages[-1]
        else:
            assert said.startswith("refused: "), said
            assert os.strerror(code) in said
            assert lasting or not litter(scene, place, before)
        scene.check(place)
    print(f"{scene}: {errno.errorcode[code]} at {len(points)} of {len(calls)} points")


def litter(scene, place, before):
    """Name what a refused act should not have left."""
    added = tree(place).keys() - before.keys()
    if scene.find(place) == scene.stages[0]:
        return added
    return {name for name in added if ".mypt-" in name}
