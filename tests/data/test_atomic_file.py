import pytest

from mypt.data import atomic_file
from mypt.data.atomic_file import partial_path, write_atomically


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "shard.bin"
    for data in (b"old", b"new"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "shard.bin"
    write_atomically(path, b"old")

    def fail(_):
        raise OSError("no space left")

    monkeypatch.setattr(atomic_file, "sync_file", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert partial_path(path).exists()
