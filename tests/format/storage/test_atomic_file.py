import errno
import os

import pytest

from mypt.format.errors import LockedError, SaveError
from mypt.format.storage import atomic_file
from mypt.format.storage.atomic_file import open_workplace, remove_leftover, write_atomically
from mypt.format.storage.lock import LOCK_FILE


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "shard.bin"
    for data in (b"old", b"new"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_file_before_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "shard.bin"
    write_atomically(path, b"old")

    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_file, "sync_file", fail)
    with pytest.raises(SaveError, match=r"shard.bin: could not be written: No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_workplace_is_empty_held_and_gone_at_the_end(tmp_path):
    left = tmp_path / ".out.mine" / "folder"
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "text").write_text("text")
    (left.parent / "link").symlink_to(tmp_path / "precious")
    with open_workplace(tmp_path / "out", "mine") as work:
        assert [path.name for path in work.iterdir()] == [LOCK_FILE]
        with pytest.raises(LockedError), open_workplace(tmp_path / "out", "mine"):
            pass
        (work / "made").write_text("whole")
        (work / "made").rename(tmp_path / "out")
        (work / "more").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "precious"]
    assert (tmp_path / "precious" / "text").exists()


def test_a_leftover_is_removed_and_a_workplace_in_use_is_none(tmp_path):
    target, left = tmp_path / "out", tmp_path / ".out.mine"
    remove_leftover(target, "mine")
    left.mkdir()
    (left / LOCK_FILE).write_text("of a dead process")
    remove_leftover(target, "mine")
    assert not left.exists()
    with open_workplace(target, "mine") as work:
        (work / "made").write_text("whole")
        remove_leftover(target, "mine")
        assert (work / "made").exists()
    assert not left.exists()
