"""A bundle is either whole or gone, and what is not mypt's stays."""

import os
import random
import shutil
from pathlib import Path

import pytest

from mypt.format.errors import FormatError, LockedError, SaveError
from mypt.format.storage import remove
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.remove import remove_bundle, sweep_removed
from tests.support.crash.disk import recording


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def copy(bundle, models):
    return shutil.copytree(bundle, models / "cat_step00000010")


def test_a_bundle_is_removed_with_its_folder(copy, models):
    assert remove_bundle(copy)
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("way", ["removed", "swept"])
def test_what_was_removed_is_not_brought_back_by_a_loss_of_power(copy, models, way):
    if way == "swept":
        copy.rename(models / ".cat_step00000010.mypt-removed")
    with recording(models) as moments:
        remove_bundle(copy) if way == "removed" else sweep_removed(models, "cat_step")
    assert {*map(tuple, moments[-1].states(64, random.Random(1)))} == {()}


def test_leftovers_of_a_killed_save_go_with_it(copy, models):
    (copy / "model.pt.mypt-000002").write_bytes(b"half")
    assert remove_bundle(copy)
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("name", ["notes.txt", "latest.pt", ".hidden", "photos"])
def test_a_bundle_that_holds_anything_else_is_left_as_it_is(copy, name):
    if name == "photos":
        (copy / name).mkdir()
    else:
        (copy / name).write_text("mine")
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    assert not remove_bundle(copy)
    assert {path.name: path.stat().st_mtime_ns for path in copy.iterdir()} == before


def test_a_folder_without_a_manifest_is_left_as_it_is(copy):
    (copy / "manifest.json").unlink()
    assert not remove_bundle(copy)
    assert (copy / "model.pt").exists()


def test_a_damaged_manifest_is_told_of(copy):
    (copy / "manifest.json").write_text("{")
    with pytest.raises(FormatError, match=r"manifest\.json"):
        remove_bundle(copy)
    assert (copy / "model.pt").exists()


def test_a_bundle_that_somebody_writes_to_is_not_removed(copy):
    with open_for_writing(copy), pytest.raises(LockedError):
        remove_bundle(copy)
    assert (copy / "model.pt").exists()


def test_a_removal_that_was_killed_leaves_no_half_and_is_swept(copy, models, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_bundle(copy)
    assert [path.name for path in models.iterdir()] == [".cat_step00000010.mypt-removed"]
    sweep_removed(models, "dog_step")
    assert len(list(models.iterdir())) == 1
    sweep_removed(models, "cat_step")
    assert list(models.iterdir()) == []


def test_what_a_killed_removal_left_does_not_stop_the_next_one(copy, models):
    (models / ".cat_step00000010.mypt-removed").mkdir()
    assert remove_bundle(copy)
    assert list(models.iterdir()) == []


def test_a_name_with_brackets_is_swept_too(tmp_path):
    (tmp_path / ".cat[2]_step00000010.mypt-removed").mkdir()
    sweep_removed(tmp_path, "cat[2]_step")
    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_the_disk_refuses_is_told_of(copy, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(type(copy), "rename", refuse)
    with pytest.raises(SaveError, match="Permission denied"):
        remove_bundle(copy)
    assert (copy / "model.pt").exists()


def test_a_link_to_a_bundle_is_left_as_it_is(copy, models):
    link = models / "cat_step00000020"
    link.symlink_to(copy)
    assert not remove_bundle(link)
    assert link.is_symlink()
    assert (copy / "model.pt").exists()


def test_nobody_can_take_the_lock_before_the_bundle_is_gone(copy, monkeypatch):
    rename, refused = Path.rename, []

    def tried_before(self, target):
        with pytest.raises(LockedError), open_for_writing(self):
            pass
        refused.append(self)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", tried_before)
    assert remove_bundle(copy)
    assert refused == [copy]
    assert not copy.exists()


def test_where_a_locked_folder_cannot_be_renamed_it_is_removed_all_the_same(
    copy, models, monkeypatch
):
    monkeypatch.setattr("mypt.format.storage.remove.LOCK_STAYS", True)
    assert remove_bundle(copy)
    assert list(models.iterdir()) == []


def test_what_is_gone_is_not_told_to_stay_where_the_disk_reports_an_error_after(
    copy, models, monkeypatch
):
    def sync(folder):
        if not list(folder.iterdir()):
            raise OSError(5, "no such disk")

    monkeypatch.setattr(remove, "sync_folder", sync)
    assert remove_bundle(copy)
    assert list(models.iterdir()) == []
