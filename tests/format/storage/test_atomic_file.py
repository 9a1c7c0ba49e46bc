import errno
import os

import pytest

from mypt.format.errors import SaveError
from mypt.format.storage import atomic_file
from mypt.format.storage.atomic_file import write_atomically


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
