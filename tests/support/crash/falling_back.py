"""Scenes of falling back on a copy of a damaged model, beside a newer copy that is damaged too."""

import functools
import json
import tempfile
from pathlib import Path

from mypt.engine.checkpoints.recovery.condition import examine_condition
from mypt.engine.checkpoints.recovery.fall_back import choose_fall_back
from mypt.format.errors import FormatError
from mypt.format.storage.commit import finish_interrupted_commit
from mypt.format.storage.lock import LOCK_FILE
from mypt.format.storage.succession import finish_succession
from mypt.plugins.manager import load_plugins
from tests.support.crash.saving import LAST, OLD, save
from tests.support.crash.scene import Scene, tree, whole_bundle

PLUGINS = load_plugins()
RUN = {"run_id": "1" * 32}


def recorded(files, **fields):
    """Give the files of a bundle with more in its training state."""
    state = json.loads(files["training_state.json"]) | fields
    return files | {"training_state.json": json.dumps(state).encode()}


def prepare(place):
    save(place / "dante_step00000001", recorded(OLD, copy_of="dante", **RUN))
    save(place / "dante_step00000002", recorded(LAST, copy_of="dante", step=2, **RUN))
    save(place / "dante", recorded(LAST, **RUN))
    for name in ("dante", "dante_step00000002"):
        path = place / name / "model.pt"
        path.write_bytes(path.read_bytes()[:-50])


def prepare_unlisted(place):
    """Damage the manifest itself, and leave what an interrupted save did."""
    prepare(place)
    (place / "dante" / "manifest.json").write_text("{")
    (place / "dante" / "model.pt.mypt-000007").write_bytes(b"left over")


def fall_back(place):
    folder = place / "dante"
    problems = examine_condition(folder, PLUGINS).problems
    if problems:
        error = FormatError(*problems)
        choose_fall_back(folder, error, PLUGINS, is_wanted=True).take()


def held(folder):
    """Give the bytes of each file but the lock of a process that died."""
    return {name: data for name, data in tree(folder).items() if Path(name).name != LOCK_FILE}


def falling(name, prepare):
    @functools.cache
    def unbroken():
        """Give the damaged folders, and the model as it is afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            prepare(place)
            damaged = [held(place / name) for name in ("dante", "dante_step00000002")]
            fall_back(place)
            return damaged, whole_bundle(place / "dante"), held(place).keys()

    def find(place):
        model, copy = unbroken()[0]
        assert whole_bundle(place / "dante_step00000001")
        kept = [place / "dante_step00000002", place / "dante_step00000002_damaged"]
        assert [held(path) for path in kept if path.exists()] == [copy]
        if not (place / "dante").exists():
            assert held(place / "dante_damaged") == model
            assert whole_bundle(place / ".dante.mypt-successor") == unbroken()[1]
            return "neither"
        if (place / "dante_damaged").exists():
            assert held(place / "dante_damaged") == model
            assert whole_bundle(place / "dante") == unbroken()[1]
            return "new"
        assert held(place / "dante") == model
        return "old" if kept[0].exists() else "copy aside"

    def finish(place):
        finish_succession(place / "dante")
        fall_back(place)
        assert find(place) == "new"
        finish_interrupted_commit(place / "dante")  # of which a rename may have failed
        assert held(place).keys() == unbroken()[2]

    stages = ("old", "copy aside", "neither", "new")
    return Scene(name, prepare, act=fall_back, find=find, finish=finish, stages=stages)


SCENES = [
    falling("fall back", prepare),
    falling("fall back from a damaged manifest", prepare_unlisted),
]
