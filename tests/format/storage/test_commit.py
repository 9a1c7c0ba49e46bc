import errno
import hashlib
import os
from contextlib import ExitStack

import pytest

from mypt.format.errors import FormatError, LockedError, SaveError
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.generations import committed_files, drop_marker_name, tagged_name
from mypt.format.storage.lock import bundle_lock

OLD = {"config.json": b"old config", "model.pt": b"old model", "optimizer.pt": b"old optimizer"}
NEW = {"config.json": b"new config", "model.pt": b"new model"}


def commit(folder, files, **more):
    with open_for_writing(folder) as writer:
        return writer.commit(files, written_by="the tests", **more)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def content(folder):
    _, paths = committed_files(folder)
    return {name: path.read_bytes() for name, path in paths.items()}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints" / "dante"


def test_a_commit_leaves_the_files_and_a_manifest(folder):
    manifest = commit(folder, OLD, plugins={"x": {"version": "1", "needed_for": ["train"]}})
    assert names(folder) == sorted([*OLD, "manifest.json"])
    assert content(folder) == OLD
    assert (manifest.generation, manifest.written_by) == (1, "the tests")
    assert manifest == committed_files(folder)[0]
    record = manifest.files["model.pt"]
    assert record.size_bytes == len(OLD["model.pt"])
    assert record.sha256 == hashlib.sha256(OLD["model.pt"]).hexdigest()


def test_a_file_can_be_written_by_a_function(folder):
    def write(stream):
        stream.write(b"one ")
        stream.write(memoryview(b"two"))

    manifest = commit(folder, {"model.pt": write})
    assert content(folder) == {"model.pt": b"one two"}
    assert manifest.files["model.pt"].sha256 == hashlib.sha256(b"one two").hexdigest()


def test_the_next_commit_removes_what_it_no_longer_has_and_nothing_else(folder):
    commit(folder, OLD)
    (folder / "latest.pt").write_bytes(b"not ours")
    (folder / "notes").mkdir()
    assert commit(folder, NEW).generation == 2
    assert content(folder) == NEW
    assert names(folder) == sorted([*NEW, "manifest.json", "latest.pt", "notes"])
    assert (folder / "latest.pt").read_bytes() == b"not ours"


def test_a_folder_of_version_1_is_taken_over_by_the_first_commit(folder):
    folder.mkdir(parents=True)
    for name, data in OLD.items():
        (folder / name).write_bytes(data)
    assert committed_files(folder) == (None, {name: folder / name for name in OLD})
    commit(folder, NEW)
    assert content(folder) == NEW
    assert (folder / "optimizer.pt").read_bytes() == OLD["optimizer.pt"]  # never ours


def test_a_writer_commits_as_often_as_it_likes(folder):
    with open_for_writing(folder) as writer:
        for step in range(5):
            assert writer.commit(NEW, written_by="").generation == step + 1
        with pytest.raises(LockedError), open_for_writing(folder):
            pass
    with pytest.raises(ValueError, match="cannot commit"):
        writer.commit(NEW, written_by="")


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "../x", "a/b", "", ".hidden", "x" * 201, tagged_name("model.pt", 3), "a b"],
)
def test_a_name_that_no_manifest_may_list_is_a_callers_bug(folder, name):
    with pytest.raises(ValueError, match="cannot commit"):
        commit(folder, {name: b""})
    assert not folder.exists()


def test_readers_see_the_tagged_files_of_the_committed_generation(folder):
    commit(folder, OLD)
    commit(folder, NEW)
    (folder / "model.pt").rename(folder / tagged_name("model.pt", 2))
    (folder / "model.pt").write_bytes(b"of the generation before")
    (folder / tagged_name("config.json", 3)).write_bytes(b"never committed")
    assert content(folder) == NEW


def test_the_next_commit_finishes_renames_and_removes_leftovers(folder):
    commit(folder, OLD)
    (folder / "model.pt").rename(folder / tagged_name("model.pt", 1))
    for leftover in (
        tagged_name("model.pt", 2),
        tagged_name("manifest.json", 2),
        drop_marker_name("model.pt", 2),
    ):
        (folder / leftover).write_bytes(b"never committed")
    (folder / "mine.mypt-x").write_bytes(b"not ours")
    with open_for_writing(folder) as writer:
        writer.commit(OLD, written_by="")
    assert names(folder) == sorted([*OLD, "manifest.json", "mine.mypt-x"])
    assert content(folder) == OLD


def test_a_drop_that_was_committed_but_not_done_is_done_by_the_next(folder):
    commit(folder, NEW)
    (folder / "optimizer.pt").write_bytes(b"of the generation before")
    (folder / drop_marker_name("optimizer.pt", 1)).write_bytes(b"")
    assert content(folder) == NEW
    commit(folder, NEW)
    assert names(folder) == sorted([*NEW, "manifest.json"])


def test_an_error_of_the_function_leaves_the_generation_before(folder):
    def fail(stream):
        stream.write(b"half of it")
        raise KeyboardInterrupt

    commit(folder, OLD)
    before = names(folder)
    with pytest.raises(KeyboardInterrupt):
        commit(folder, {"config.json": b"new", "model.pt": fail})
    assert names(folder) == before
    assert content(folder) == OLD


def test_a_damaged_manifest_stops_the_writer_before_it_writes(folder):
    commit(folder, OLD)
    (folder / "manifest.json").write_bytes(b"{")
    before = names(folder)
    with pytest.raises(FormatError, match="is not JSON"):
        commit(folder, NEW)
    assert names(folder) == before


def test_a_manifest_of_a_newer_major_stops_the_writer(folder, edit):
    commit(folder, OLD)
    edit(folder / "manifest.json", format_version="3.0")
    with pytest.raises(FormatError, match=r"3\.0.*upgrade mypt"):
        commit(folder, NEW)


def test_a_hostile_manifest_reaches_no_file_outside(folder, edit):
    commit(folder, OLD)
    (folder.parent / "precious").write_bytes(b"text")
    record = {"size_bytes": 1, "sha256": "0" * 64}
    edit(folder / "manifest.json", files={"../precious": record})
    with pytest.raises(FormatError, match="the name of a file in this folder"):
        committed_files(folder)
    with pytest.raises(FormatError):
        commit(folder, NEW)
    assert (folder.parent / "precious").read_bytes() == b"text"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_a_clear_error(folder):
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    with pytest.raises(SaveError, match="permission"):
        commit(folder, OLD)
    folder.chmod(0o700)


def test_a_file_in_the_place_of_the_folder_is_a_clear_error(tmp_path):
    (tmp_path / "dante").write_bytes(b"")
    with pytest.raises(SaveError, match=r"dante: could not be written: .* what was saved before"):
        commit(tmp_path / "dante", OLD)


def test_a_full_disk_is_named_with_what_to_do(folder, monkeypatch):
    commit(folder, OLD)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_for_writing(folder) as writer:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(SaveError, match="No space left on device; free space on that disk"):
            writer.commit(NEW, written_by="")
    assert content(folder) == OLD
    assert names(folder) == sorted([*OLD, "manifest.json"])


def test_a_folder_that_was_moved_is_not_saved_to_under_its_old_name(folder):
    with open_for_writing(folder) as writer:
        writer.commit(OLD, written_by="")
        moved = folder.rename(folder.with_name("moved"))
        with pytest.raises(SaveError, match="was moved or removed while a run was writing to it"):
            writer.commit(NEW, written_by="")
        with open_for_writing(folder) as other:  # a run that begins anew
            other.commit(NEW, written_by="")
            with pytest.raises(SaveError, match="was moved or removed"):
                writer.commit(OLD, written_by="")
            writer_ends = bundle_lock(moved)
            with pytest.raises(LockedError), writer_ends:
                pass
    assert content(moved) == OLD
    assert content(folder) == NEW


def test_a_moved_folder_s_writer_leaves_the_lock_of_the_next_one(folder):
    with ExitStack() as stack:
        with open_for_writing(folder):
            folder.rename(folder.with_name("moved"))
            stack.enter_context(open_for_writing(folder))
        with pytest.raises(LockedError), open_for_writing(folder):
            pass
