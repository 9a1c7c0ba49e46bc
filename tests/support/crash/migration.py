"""Scenes of migrating: a legacy file, a folder of version 1, and a bundle back to version 1."""

import functools
import shutil
import tempfile
from pathlib import Path

from mypt.format.downgrade import downgrade
from mypt.format.migrate import Migrator
from mypt.format.open import open_checkpoint
from mypt.format.storage.files import BUNDLE_FILES, MANIFEST
from mypt.plugins.manager import load_plugins
from tests.support.crash.saving import OLD, save
from tests.support.crash.scene import Scene, tree, whole_bundle
from tests.support.paths import SUITE

PLUGINS = load_plugins()
MIGRATOR = Migrator(
    readers=tuple(PLUGINS.readers.values()), written_by="the tests", layouts=PLUGINS.layouts
)


def legacy_file(place):
    (place / "dante").mkdir()
    shutil.copyfile(SUITE / "files" / "latest.pt", place / "dante" / "latest.pt")


def folder_of_version_1(place):
    shutil.copytree(SUITE / "bundles" / "valid" / "version_1", place / "dante")


def bundle(place):
    save(place / "dante", OLD)


def migrating(name, prepare, act, target, *, opens_as):
    """Make a scene whose act writes the folder `target` and leaves all else alone.

    Args:
        name: Of the scene.
        prepare: As `Scene` has it.
        act: As `Scene` has it.
        target: Name of the folder of what is written.
        opens_as: Format that mypt opens the source as.
    """

    @functools.cache
    def whole():
        """Give all files before and after a migration that nobody interrupts."""
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            prepare(place)
            before = tree(place)
            act(place)
            return before, tree(place), whole_bundle(place / target)

    def find(place):
        before, _, written = whole()
        assert tree(place).items() >= before.items()
        folder = place / target
        if any((folder / name).exists() for name in (*BUNDLE_FILES, MANIFEST)):
            assert whole_bundle(folder) == written
            return "new"
        assert open_checkpoint(place / "dante", PLUGINS).format == opens_as
        return "old"

    def again(place):
        act(place)
        assert tree(place) == whole()[1]

    return Scene(name, prepare, act=act, find=find, finish=again)


SCENES = [
    migrating(
        "migrate legacy file",
        legacy_file,
        lambda place: MIGRATOR.migrate(place / "dante"),
        "dante",
        opens_as="mypt_file",
    ),
    migrating(
        "migrate folder of version 1",
        folder_of_version_1,
        lambda place: MIGRATOR.migrate(place / "dante", place / "new"),
        "new",
        opens_as="mypt_folder",
    ),
    migrating(
        "migrate to version 1",
        bundle,
        lambda place: downgrade(place / "dante", place / "old", PLUGINS.layouts, dry_run=False),
        "old",
        opens_as="2.0",
    ),
]
