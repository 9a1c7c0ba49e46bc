import json
import socket

import pytest

from mypt.format.errors import LockedError
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.generations import drop_marker_name, tagged_name
from mypt.format.storage.leftovers import LEFTOVER, WRITING, find_leftovers
from mypt.format.storage.lock import LOCK_FILE, bundle_lock
from mypt.format.storage.operating_system import try_lock
from mypt.format.storage.succession import successor_path
from tests.support.processes.child import Child

HERE = socket.gethostname()


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "dante"
    with open_for_writing(place) as writer:
        writer.commit({"config.json": b"{}"}, written_by="the tests")
    return place


def notes_of(folder):
    found = [*find_leftovers(folder)]
    assert all(note.severity == "note" for note in found)
    return [(note.file.rpartition("/")[2], note.kind, note.what) for note in found]


def test_a_bundle_that_nothing_interrupted_has_none(folder):
    assert notes_of(folder) == []
    assert notes_of(folder.with_name("nobody")) == []


def test_files_of_other_generations_wait_for_nothing_and_those_of_this_one_to_be_renamed(folder):
    for name in (tagged_name("config.json", 1), tagged_name("config.json", 2)):
        (folder / name).touch()
    (folder / drop_marker_name("config.json", 1)).touch()
    assert notes_of(folder) == [
        ("config.json.mypt-000001", LEFTOVER, "still waits to be renamed to config.json"),
        ("config.json.mypt-000001.dropped", LEFTOVER, "is left of a save that was interrupted"),
        ("config.json.mypt-000002", LEFTOVER, "is left of a save that was interrupted"),
    ]


def test_beside_a_damaged_manifest_whatever_is_tagged_is_left(folder):
    (folder / "manifest.json").write_bytes(b"{")
    (folder / tagged_name("config.json", 1)).touch()
    assert [what for _, _, what in notes_of(folder)] == ["is left of a save that was interrupted"]


def test_a_lock_is_told_from_that_of_a_process_that_has_ended(folder):
    with bundle_lock(folder):
        ((name, kind, what),) = notes_of(folder)
        held = (folder / LOCK_FILE).read_text()
    assert (name, kind) == ("dante", WRITING)
    assert what.startswith(f"is being written by process {json.loads(held)['pid']} on {HERE}")
    child = Child(lambda: "")
    child.wait()
    (folder / LOCK_FILE).write_text(held.replace(str(json.loads(held)["pid"]), str(child.pid)))
    ((name, kind, what),) = notes_of(folder)
    assert (name, kind) == (LOCK_FILE, LEFTOVER)
    assert what.endswith("which has ended")


@pytest.mark.parametrize(
    "note",
    [
        "",
        "null",
        '["host"]',
        "[" * 4000,
        json.dumps({"host": HERE, "pid": 0, "since": "then"}),
        json.dumps({"host": HERE, "pid": "1", "since": "then"}),
        json.dumps({"host": HERE, "pid": 1}),
    ],
    ids=["empty", "null", "list", "deep", "group", "text", "incomplete"],
)
def test_a_lock_with_any_other_text_has_no_owner(folder, note):
    (folder / LOCK_FILE).write_text(note)
    assert notes_of(folder) == [(LOCK_FILE, LEFTOVER, "is a lock without an owner")]
    with (folder / LOCK_FILE).open("r+b") as stream:
        assert try_lock(stream.fileno())
        with pytest.raises(LockedError, match="is being written by another process"):
            bundle_lock(folder).__enter__()


def test_a_number_that_no_process_can_have_is_of_none_that_runs(folder):
    owner = {"host": HERE, "pid": 10**20, "since": "then"}
    (folder / LOCK_FILE).write_text(json.dumps(owner))
    ((_, kind, what),) = notes_of(folder)
    assert kind == LEFTOVER
    assert what.endswith("which has ended")


def test_folders_of_killed_processes_are_told_by_the_name_of_the_bundle(folder):
    for name in (".dante.mypt-export", ".danteandmore.mypt-export", ".dante.mypt-else"):
        (folder.parent / name).mkdir()
    assert notes_of(folder) == [
        (".dante.mypt-export", LEFTOVER, "is left of a process that was killed")
    ]


def test_a_successor_is_what_a_missing_bundle_is_to_be(folder):
    with open_for_writing(successor_path(folder)) as writer:
        writer.commit({"config.json": b"{}"}, written_by="the tests")
    assert "killed before it changed anything" in notes_of(folder)[0][2]
    folder.rename(folder.with_name("dante_damaged"))
    assert "is what dante is to be" in notes_of(folder)[0][2]
