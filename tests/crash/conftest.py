"""What the crash tests share."""

import shutil

import pytest


@pytest.fixture
def fresh(tmp_path):
    """Give the folder of a scene, prepared anew at each call."""

    def make(scene):
        start, place = tmp_path / f"{scene} prepared", tmp_path / "place"
        if not start.exists():
            start.mkdir()
            scene.prepare(start)
            scene.act(shutil.copytree(start, place))  # the first time it imports what it needs
            assert scene.check(place) == scene.stages[-1]
        shutil.rmtree(place, ignore_errors=True)
        return shutil.copytree(start, place)

    return make
