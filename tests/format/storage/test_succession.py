"""Putting a folder in the place of another one; tests/crash interrupts it at every call."""

import pytest

from mypt.format.errors import LockedError, SaveError
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.succession import (
    find_aside,
    finish_succession,
    is_interrupted,
    set_aside,
    successor_path,
)


@pytest.fixture
def folder(tmp_path):
    """A folder with one file, which is no checkpoint."""
    folder = tmp_path / "cat"
    folder.mkdir()
    (folder / "model.pt").write_bytes(b"damaged")
    return folder


def make_successor(folder):
    with open_for_writing(successor_path(folder)) as writer:
        writer.commit({"model.pt": b"whole"}, written_by="the tests")


def test_a_folder_gets_the_first_free_name(folder):
    for name in ("cat_damaged", "cat_damaged2", "cat_damaged3"):
        assert set_aside(folder).name == name
        assert [path.name for path in (folder.parent / name).iterdir()] == ["model.pt"]
        folder.mkdir()
        (folder / "model.pt").write_bytes(b"damaged")
    assert len(find_aside(folder)) == 3


def test_what_another_process_writes_stays(folder):
    with open_for_writing(folder), pytest.raises(LockedError):
        set_aside(folder)
    assert folder.exists()


def test_where_what_comes_then_fails_the_folder_has_its_name_again(folder):
    def fail():
        raise OSError(28, "No space left on device")

    with pytest.raises(SaveError, match="No space"):
        set_aside(folder, then=fail)
    assert (folder / "model.pt").read_bytes() == b"damaged"
    assert find_aside(folder) == []


def test_a_check_that_fails_leaves_everything(folder):
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        set_aside(folder, fail)
    assert folder.exists()


def test_what_was_interrupted_between_the_renames_is_finished(folder):
    make_successor(folder)
    assert not is_interrupted(folder)
    assert not finish_succession(folder)
    set_aside(folder)
    assert is_interrupted(folder)
    assert finish_succession(folder)
    assert (folder / "model.pt").read_bytes() == b"whole"
    assert not successor_path(folder).exists()


def test_a_successor_that_was_never_complete_takes_no_place(folder):
    successor_path(folder).mkdir()
    (successor_path(folder) / "model.pt").write_bytes(b"half")
    set_aside(folder)
    assert not finish_succession(folder)
    assert not folder.exists()


def test_where_locks_stay_the_folder_is_moved_after_its_lock_is_released(folder, monkeypatch):
    monkeypatch.setattr("mypt.format.storage.succession.LOCK_STAYS", True)
    assert [path.name for path in set_aside(folder).iterdir()] == ["model.pt"]
