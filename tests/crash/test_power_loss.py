"""Lose power at any moment: any part of what was not yet synced may be on the disk, and any not."""

import itertools
import os
import random
import stat

import pytest

from mypt.engine.checkpoints.checkpointer import Checkpointer
from mypt.format import downgrade
from mypt.format.errors import MyptError
from mypt.format.storage import commit
from mypt.format.storage.commit import BundleWriter
from mypt.format.storage.files import MANIFEST
from mypt.format.storage.generations import find_tagged_files
from tests.support.crash.disk import rebuilt, recording
from tests.support.crash.scene import EVERY
from tests.support.crash.scenes import SCENES

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the calls are those of POSIX")
# How many states are tried, and how many drawn of each moment to choose them from.
SAMPLED, OF_A_MOMENT = (2000, 4096) if EVERY else (26, 32)


def recorded(scene, place, broken=lambda patch: None):
    """Act, perhaps with a part of the protocol broken; give the disk after each call."""
    with recording(place) as moments, pytest.MonkeyPatch.context() as patch:
        broken(patch)
        assert scene.outcome(place) == "done"
    return moments


def distinct_states(moments, chance):
    states = (state for disk in moments for state in disk.states(OF_A_MOMENT, chance))
    return list({tuple(sorted(state.items())): state for state in states}.values())


def few(states, chance):
    """Draw some of them, the first and the last included."""
    if len(states) <= SAMPLED:
        return states
    return [states[0], *chance.sample(states[1:-1], SAMPLED - 2), states[-1]]


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_whatever_reached_the_disk_is_what_was_or_what_is_to_be(scene, fresh, tmp_path):
    chance = random.Random(scene.name)
    moments = recorded(scene, fresh(scene))
    states = distinct_states(moments, chance)
    tried = few(states, chance)
    found = {scene.check(rebuilt(tmp_path / "found", state)) for state in tried}
    assert found >= {scene.stages[0], scene.stages[-1]}
    for state in distinct_states(moments[-1:], chance):  # the act has returned
        assert scene.find(rebuilt(tmp_path / "found", state)) == scene.stages[-1]
    print(f"{scene}: {len(tried)} of {len(states)} states after a loss of power")


def files_never_synced(patch):
    fsync = os.fsync

    def fsync_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            fsync(descriptor)

    patch.setattr(os, "fsync", fsync_folders)


def one_sync_of_a_folder_left_out(module, number):
    def broken(patch):
        sync_folder, made = module.sync_folder, itertools.count(1)
        patch.setattr(
            module, "sync_folder", lambda folder: next(made) == number or sync_folder(folder)
        )

    return broken


def names_before_the_manifest(patch):
    put_manifest = BundleWriter._put_manifest

    def rename_and_put(self, *arguments):
        for path, name, _, _ in list(find_tagged_files(self.folder)):
            path.replace(self.folder / name)
        put_manifest(self, *arguments)

    patch.setattr(BundleWriter, "_put_manifest", rename_and_put)


def manifest_in_place(patch):
    def put_manifest(self, data, *_):
        commit.sync_folder(self.folder)
        (self.folder / MANIFEST).unlink()
        commit.write_file(self.folder / MANIFEST, data)

    patch.setattr(BundleWriter, "_put_manifest", put_manifest)


def latest_before_gold(patch):
    own, copies = Checkpointer.write_own, Checkpointer.write_copies
    patch.setattr(
        Checkpointer,
        "write_copies",
        lambda self, copy, state, kinds: [own(self, copy, state), copies(self, copy, state, kinds)],
    )


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("save over bundle", files_never_synced),
        ("save over bundle", one_sync_of_a_folder_left_out(commit, 1)),  # before the manifest
        ("save over bundle", one_sync_of_a_folder_left_out(commit, 2)),  # and after it
        ("save over bundle", names_before_the_manifest),
        ("save over bundle", manifest_in_place),
        ("promote and prune", latest_before_gold),
        ("migrate to version 1", files_never_synced),
        ("migrate to version 1", one_sync_of_a_folder_left_out(downgrade, 1)),
    ],
)
def test_the_model_finds_out_whatever_is_wrong_with_a_writer(name, broken, fresh, tmp_path):
    chance = random.Random(name)
    scene = next(scene for scene in SCENES if scene.name == name)
    states = distinct_states(recorded(scene, fresh(scene), broken), chance)
    chance.shuffle(states)
    assert any(is_mixture(scene, rebuilt(tmp_path / "found", state)) for state in states)


def is_mixture(scene, place):
    try:
        return scene.find(place) not in scene.stages
    except (AssertionError, MyptError):
        return True
