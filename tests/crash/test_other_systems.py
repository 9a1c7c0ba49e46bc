"""What is never lost on Linux is never lost on a simulated Windows or macOS either."""

import random
import sys

import pytest

from tests.support.crash.calls import calls_of, failed, killed
from tests.support.crash.disk import rebuilt, recording
from tests.support.crash.scene import sample
from tests.support.crash.scenes import SCENES
from tests.support.systems.exchange import on
from tests.support.systems.macos import drive_cache, on_macos
from tests.support.systems.windows import on_windows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_on_windows_whoever_is_killed_leaves_what_was_or_what_is_to_be(scene, fresh):
    calls = calls_of(scene, fresh(scene), on_windows)
    found = []
    for point in sample(range(1, len(calls) + 1), 3):
        place = fresh(scene)
        assert killed(scene, place, point, halfway=False, system=on_windows)
        found.append(on(on_windows, lambda: scene.check(place)))  # noqa: B023 - runs at once
    assert found[0] == scene.stages[0]
    assert found == sorted(found, key=scene.stages.index)  # nothing that was done is undone
    print(f"{scene}: killed on Windows at {len(found)} of {len(calls)} points")


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_on_windows_a_file_that_is_in_use_for_good_stops_an_act_with_one_line(scene, fresh):
    calls = calls_of(scene, fresh(scene), on_windows)
    points = [n for n, name in enumerate(calls, 1) if name in ("replace", "rename", "unlink")]
    for point in sample(points, 2):
        place = fresh(scene)
        said = failed(scene, place, point, 13, lasting=True, system=on_windows)
        assert said == "done" or said.startswith("refused: "), said
        on(on_windows, lambda: scene.check(place))  # noqa: B023 - runs at once


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_on_macos_whatever_reached_the_drive_is_what_was_or_what_is_to_be(scene, fresh, tmp_path):
    moments = act_on_macos(scene, fresh(scene), on_macos)
    chance = random.Random(scene.name)
    states = [state for disk in sample(moments, 4) for state in sample(disk.states(8, chance), 2)]
    found = [scene.check(rebuilt(tmp_path / "found", state)) for state in states]
    assert set(found) <= set(scene.stages)
    for state in sample(moments[-1].states(8, chance), 2):  # the act has returned
        assert scene.find(rebuilt(tmp_path / "found", state)) == scene.stages[-1]
    print(f"{scene}: {len(states)} states of a drive of macOS")


def test_on_macos_fsync_alone_would_lose_a_save(fresh, tmp_path):
    scene = next(scene for scene in SCENES if scene.name == "save over bundle")
    moments = act_on_macos(scene, fresh(scene), drive_cache)
    states = moments[-1].states(64, random.Random(1))
    found = set()
    for state in states:
        try:
            found.add(scene.find(rebuilt(tmp_path / "found", state)))
        except Exception:
            found.add("a mixture")
    assert found != {scene.stages[-1]}


def act_on_macos(scene, place, system):
    """Act on macOS; give the drive after each call."""
    with recording(place) as moments, system():
        assert scene.outcome(place) == "done"
    return moments
