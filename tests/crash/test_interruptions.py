"""Die, or fail, at every single call that a writer makes to the system: nothing is ever lost."""

import errno
import os
from pathlib import Path

import pytest

from tests.support.crash.calls import calls_of, failed, killed
from tests.support.crash.scene import sample, tree
from tests.support.crash.scenes import SCENES

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the points are those of POSIX")


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
            assert scene.find(place) in (scene.stages[-1], *scene.tolerated)
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
    known = {Path(name).name for name in before}  # what a folder held that is set aside
    return {name for name in added if ".mypt-" in name and Path(name).name not in known}
