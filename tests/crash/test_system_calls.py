"""Kill the real process, or fail it, at every call that a writer makes to the system itself.

strace does it from outside: nothing of Python or mypt is changed.
"""

import os
import re
import shutil
import signal
import subprocess
from collections import Counter

import pytest

from tests.support.crash.scene import sample
from tests.support.crash.scenes import SCENES
from tests.support.processes.child import Child

STRACE = shutil.which("strace")
pytestmark = pytest.mark.skipif(STRACE is None, reason="strace is not installed")

# Not every machine has all of them; `?` passes over those that it lacks.
CALLS = (
    *("open", "openat", "close", "read", "pread64", "write", "pwrite64", "fsync", "fdatasync"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"),
    *("ftruncate", "flock", "lseek", "getdents64", "stat", "lstat", "fstat", "newfstatat", "statx"),
    *("access", "faccessat", "ioctl", "chdir"),
)
END = "getppid"  # a call that nobody makes, to mark the end of an act


@pytest.fixture
def traced(tmp_path):
    """Act under strace; give what came of it, None for a death, and the log of the calls."""

    def run(scene, place, *injections):
        def work():
            os.environ["PATH"] = ""  # git, which a run asks for its commit, makes calls of its own
            os.kill(os.getpid(), signal.SIGSTOP)
            outcome = scene.outcome(place)
            os.getppid()
            return outcome

        child, log = Child(work), tmp_path / "log"
        os.waitpid(child.pid, os.WUNTRACED)
        command = [STRACE, "-f", "-o", str(log), "-p", str(child.pid)]
        for expression in ("trace=" + ",".join(f"?{name}" for name in (*CALLS, END)), *injections):
            command += ["-e", expression]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            said = tracer.stderr.readline()
            os.kill(child.pid, signal.SIGCONT if "attached" in said else signal.SIGKILL)
            outcome = child.wait()
        if "attached" not in said:
            pytest.skip(f"strace cannot be used here: {said}")
        return outcome, log.read_text()

    return run


def points_of(log):
    """Name every call of an act and its number among those of its name and thread.

    strace counts by thread: what it does at the third `write`, the first thread to get there meets.
    """
    count, points = Counter(), {}
    for line in log.partition(f" {END}(")[0].splitlines():
        if call := re.match(r"(\d+) +(\w+)\(", line):
            count[call.groups()] += 1
            points[call[2], count[call.groups()]] = None
    return list(points)


def known_points(scene, fresh, traced):
    """Name the calls of an act, once this process has imported all that a check needs.

    What is imported here is not imported in the children any more, and would be missed there.
    """
    place = fresh(scene)
    assert traced(scene, place)[0] == "done"
    scene.check(place)
    outcome, log = traced(scene, fresh(scene))
    assert outcome == "done"
    return points_of(log)


def struck(scene, fresh, traced, point, what):
    """Strike an act at a call, or a little earlier where a run has some calls less than another.

    How often Python looks into the folders that it imports from is not the same each time.
    """
    name, number = point
    for earlier in range(max(1, number - 40), number + 1)[::-1]:
        place = fresh(scene)
        outcome, log = traced(scene, place, f"inject={name}:{what}:when={earlier}")
        if outcome is None or "(INJECTED)" in log:
            return place, outcome
    raise AssertionError(point)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_whoever_is_killed_at_any_system_call_leaves_what_was_or_what_is_to_be(
    scene, fresh, traced
):
    points = known_points(scene, fresh, traced)
    assert {name for name, _ in points} >= {"write", "fsync", "close"}
    found = []
    for point in sample(points, 8):
        place, outcome = struck(scene, fresh, traced, point, "signal=KILL")
        assert outcome is None
        found.append(scene.check(place))
    assert set(found) >= {scene.stages[0], scene.stages[-1]}
    assert found == sorted(found, key=scene.stages.index)
    print(f"{scene}: killed at {len(found)} of {len(points)} system calls")


@pytest.mark.parametrize("scene", SCENES, ids=str)
@pytest.mark.parametrize(
    "code",
    ["ENOSPC", *(pytest.param(code, marks=pytest.mark.slow) for code in ("EIO", "EACCES"))],
)
def test_an_error_of_any_system_call_leaves_what_was_or_what_is_to_be(scene, code, fresh, traced):
    points = known_points(scene, fresh, traced)
    tried = sample(points, 3)
    for point in tried:
        place, outcome = struck(scene, fresh, traced, point, f"error={code}")
        if outcome == "done":
            assert scene.find(place) in (scene.stages[-1], *scene.tolerated)
        else:
            assert outcome.startswith("refused: "), outcome
        scene.check(place)
    print(f"{scene}: {code} at {len(tried)} of {len(points)} system calls")
