"""Files that are open or mapped on a simulated Windows: nothing is lost, and one line says so."""

import gc
import json
import mmap
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mypt.format.bundle.read import read_bundle
from mypt.format.errors import LockedError, SaveError
from mypt.format.storage import operating_system
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.lock import LOCK_FILE, bundle_lock
from mypt.format.storage.remove import remove_bundle
from tests.support.crash.saving import LAST, NEW, OLD, save
from tests.support.crash.scene import whole_bundle
from tests.support.processes.child import Child
from tests.support.systems.exchange import on
from tests.support.systems.windows import on_windows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "dante", OLD)
    return tmp_path / "dante"


def hold(path):
    """Map a file, as a reader of weights does."""
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_simulation_refuses_what_windows_refuses(folder):
    def work():
        mapped = hold(folder / "model.pt")
        tried = {
            "unlink": lambda: (folder / "model.pt").unlink(),
            "replace it": lambda: (folder / "config.json").replace(folder / "model.pt"),
            "rename it": lambda: (folder / "model.pt").rename(folder / "x"),
            "rename its folder": lambda: folder.rename(folder.with_name("x")),
            "rename onto another": lambda: (folder / "config.json").rename(
                folder / "tokenizer.json"
            ),
            "truncate": lambda: (folder / "model.pt").open("wb"),
            "open a folder": lambda: os.open(folder, os.O_RDONLY),
            "a device": lambda: (folder / "nul.txt").write_text(""),
            "a dot": lambda: (folder / "x.").mkdir(),
        }
        for call in tried.values():
            with pytest.raises(OSError):
                call()
        assert not hasattr(os, "fork")
        del mapped
        (folder / "model.pt").unlink()
        assert (folder / "y").write_text("a\nb") == 3
        return (folder / "y").read_bytes()

    assert on(on_windows, work) == repr(b"a\r\nb")


def test_a_save_while_the_old_weights_are_mapped_is_whole_and_tidied_by_the_next(folder):
    def work():
        mapped = hold(folder / "model.pt")
        for files in (NEW, LAST, NEW):
            save(folder, files)
            assert whole_bundle(folder) == files
            assert mapped[:] == OLD["model.pt"]
        assert "model.pt.mypt-000004" in names(folder)
        del mapped
        save(folder, LAST)
        assert whole_bundle(folder) == LAST
        return names(folder)

    assert on(on_windows, work) == str(sorted([*LAST, "manifest.json"]))


def test_a_save_while_all_files_are_open_in_another_process_is_whole(folder):
    def work():
        held = [path.open("rb") for path in folder.iterdir() if path.name != "manifest.json"]
        save(folder, NEW)
        found = whole_bundle(folder) == NEW
        del held
        gc.collect()
        save(folder, LAST)
        return found and whole_bundle(folder) == LAST and names(folder)

    assert on(on_windows, work) == str(sorted([*LAST, "manifest.json"]))


def test_a_manifest_that_somebody_reads_is_waited_for(folder, monkeypatch):
    held, pauses = [], []

    def sleep(pause_s):
        pauses.append(pause_s)
        if len(pauses) == 2:
            held.pop().close()

    monkeypatch.setattr(operating_system.time, "sleep", sleep)

    def work():
        held.append((folder / "manifest.json").open("rb"))
        save(folder, NEW)
        assert whole_bundle(folder) == NEW
        return pauses

    assert on(on_windows, work) == "[0.01, 0.1]"


def test_a_manifest_that_somebody_keeps_open_stops_the_save_and_nothing_is_lost(
    folder, monkeypatch
):
    monkeypatch.setattr(operating_system.time, "sleep", lambda _: None)

    def work():
        with (folder / "manifest.json").open("rb"):
            with pytest.raises(SaveError) as caught:
                save(folder, NEW)
            assert "\n" not in str(caught.value)
        assert whole_bundle(folder) == OLD
        assert names(folder) == sorted([*OLD, "manifest.json"])
        save(folder, NEW)
        assert whole_bundle(folder) == NEW
        return caught.value

    said = on(on_windows, work)
    assert "Access is denied" in said
    assert "what was saved before is intact" in said


def test_a_bundle_whose_weights_are_mapped_is_not_removed_by_half(folder):
    def work():
        mapped = hold(folder / "model.pt")
        with pytest.raises(SaveError) as caught:
            remove_bundle(folder)
        assert whole_bundle(folder) == OLD
        assert mapped[:] == OLD["model.pt"]
        assert names(folder) == sorted([*OLD, "manifest.json"])
        del mapped
        assert remove_bundle(folder)
        assert names(folder.parent) == []
        return caught.value

    assert "could not be removed: Access is denied" in on(on_windows, work)


def test_a_lock_keeps_other_processes_and_this_one_away_and_says_who_holds_it(folder):
    holds, told = os.pipe(), os.pipe()

    def other():
        try:
            with on_windows(), bundle_lock(folder):
                os.write(holds[1], b".")
                os.read(told[0], 1)
        finally:
            os.write(holds[1], b".")  # where it failed nobody waits for it
        return "done"

    child = Child(other)
    os.read(holds[0], 1)

    def refused():
        with pytest.raises(LockedError) as caught, bundle_lock(folder):
            pass
        return caught.value

    assert f"process {child.pid} on" in on(on_windows, refused)
    os.write(told[1], b".")
    assert child.wait() == "done"

    def twice():
        with bundle_lock(folder), pytest.raises(LockedError), open_for_writing(folder):
            pass
        return names(folder)

    assert on(on_windows, twice) == str(sorted([*OLD, "manifest.json"]))


def test_the_lock_of_a_process_that_was_killed_is_taken_over(folder):
    def die():
        with on_windows(), bundle_lock(folder):
            os.kill(os.getpid(), 9)

    assert Child(die).wait() is None
    assert LOCK_FILE in names(folder)

    def work():
        save(folder, NEW)
        return names(folder)

    assert on(on_windows, work) == str(sorted([*NEW, "manifest.json"]))


def test_a_lock_file_that_somebody_looks_at_stays_and_is_taken_over(folder):
    def work():
        with bundle_lock(folder):
            looked = (folder / LOCK_FILE).open("rb")
        assert LOCK_FILE in names(folder)
        with bundle_lock(folder):
            assert json.loads((folder / LOCK_FILE).read_bytes())["pid"] == os.getpid()
        looked.close()
        with bundle_lock(folder):
            pass
        return LOCK_FILE in names(folder)

    assert on(on_windows, work) == "False"


SHAPE = "--tokenization char --block_size 4 --n_embd 4 --n_head 1 --n_layer 1 --batch_size 4"
RUN = "--device cpu --eval_interval 1 --eval_iters 1 --snapshot_interval 1 --keep_snapshots 1"
COMMANDS = [
    f"train --model_name dante --input_file input.txt --max_iters 2 {SHAPE} {RUN}",
    f"train --model_name dante --max_iters 3 {RUN}",
    "data prepare input.txt --output data/a --tokenization char --workers 1",
    "data prepare input.txt --output data/a --tokenization char --workers 1",
    "train --model_name dante --dataset_dir data/a --max_iters 4",
    "generate dante --max_new_tokens 5",
    "inspect dante",
    "list",
    "doctor dante",
    "export dante --to hf --output out/hf",
    "format migrate checkpoints/dante --to 1 --output out/old",
    "format migrate out/old --output out/new",
    "format validate checkpoints/dante --checksums",
    "plot dante --output out/plot.html",
    "configs",
    "plugins new my-plugin",
]


def test_an_hour_of_commands_leaves_nothing_beside_what_was_asked_for(tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    Path("input.txt").write_text("abcd" * 200)

    def hour(place):
        said = []
        with suppress(FileNotFoundError):
            shutil.rmtree(place)
        place.mkdir()
        shutil.copyfile("input.txt", place / "input.txt")
        os.chdir(place)
        for command in COMMANDS:
            code, _, err = cli(*command.split())
            said.append((command, code, err if code else ""))
        files = sorted(str(path.relative_to(place)) for path in place.rglob("*"))
        os.chdir(tmp_path)
        return json.dumps([said, files])

    here = json.loads(hour(tmp_path / "linux"))
    there = json.loads(on(on_windows, lambda: hour(tmp_path / "windows")))
    assert [said for said in here[0] if said[1]] == []
    assert there == here
    bundle = read_bundle(tmp_path / "windows" / "checkpoints" / "dante")
    assert bundle.training_state.step == 4
