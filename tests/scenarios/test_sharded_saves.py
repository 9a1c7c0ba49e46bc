"""Runs whose processes save their parts side by side; real processes, gloo, on the CPU."""

import json
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

from mypt.engine.checkpoints.sharded.sharded_saver import ShardedSaver
from mypt.format.bundle.read import read_bundle
from mypt.format.shards.record import open_shards, read_state
from mypt.format.storage.generations import read_manifest
from tests.support.processes.command import Command
from tests.support.processes.deaths import when_flushing, when_removing_a_folder
from tests.support.processes.ranks import ranks
from tests.support.sharded_folders import shard_bundle

FLAGS = (
    *("--input_file", "input.txt", "--tokenization", "char", "--device", "cpu"),
    *("--block_size", "8", "--n_embd", "6", "--n_head", "2", "--n_layer", "1"),
    *("--batch_size", "4", "--dropout", "0.1", "--shard"),
    *("--max_iters", "4", "--eval_interval", "4", "--eval_iters", "1", "--save_interval", "1"),
)
SHARDED = (*FLAGS, "--sharded_saves")


def start(name, *flags, size, before=()):
    words = ("train", "--model_name", name, *flags)
    armed = [dict(before).get(rank, lambda: None) for rank in range(size)]
    return [Command(*words, env=env, arm=arm) for arm, env in zip(armed, ranks(size), strict=True)]


def run(name, *flags, size):
    processes = start(name, *flags, size=size)
    said = [process.wait() for process in processes]
    assert [process.code for process in processes] == [0] * size, said
    return said


def digests(name):
    manifest = json.loads(Path(f"checkpoints/{name}/manifest.json").read_text())
    return {file: manifest["files"][file]["sha256"] for file in ("model.pt", "optimizer.pt")}


def shards_of(name):
    """Return the training state of a sharded save all of whose files are what was saved."""
    path = Path(f"checkpoints/{name}_shards")
    open_shards(path).check(whole=True)
    return read_state(path)


@pytest.fixture
def folder(in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    return in_tmp


def test_a_run_whose_save_is_interrupted_ends_in_the_bytes_of_one_that_gathers_each_save(folder):
    run("whole", *FLAGS, size=2)
    death = when_flushing(r"__1_0\.distcp$", 3)
    first, second = start("parts", *SHARDED, size=2, before={1: death})
    said = first.wait(), second.wait()
    assert (first.code, second.code) == (1, -signal.SIGKILL), said
    assert "another process of this run has ended" in said[0]
    assert shards_of("parts")["step"] == 1
    assert not Path("checkpoints/parts/manifest.json").exists()
    again, _ = run("parts", *SHARDED, size=2)
    assert "Resuming checkpoints/parts_shards from step 1" in again
    for copy in ("", "_gold"):
        assert digests(f"parts{copy}") == digests(f"whole{copy}")
    assert read_bundle(Path("checkpoints/parts")).training_state.exact
    assert sorted(p.name for p in Path("checkpoints").iterdir() if "parts" in p.name) == [
        *("parts", "parts_fp16", "parts_gold"),
    ]


def test_without_shard_it_is_refused_in_one_line(folder, refused):
    flags = [flag for flag in SHARDED if flag != "--shard"]
    assert refused("train", "--model_name", "parts", *flags).strip() == (
        "error: --sharded_saves: saves the parts of a model that --shard splits; give --shard too, "
        "or leave it out"
    )
    assert not Path("checkpoints").exists()


@pytest.mark.slow
def test_every_copy_of_a_tied_model_is_that_of_a_run_that_gathers_each_save(folder):
    flags = ("--tie_weights", "--no_head_bias", "--n_embd", "2", "--n_head", "1", "--ema", "0.5")
    flags += ("--snapshot_interval", "3", "--gold_metric", '{"ema": 1}', "--optimizer", "adafactor")
    run("whole", *FLAGS, *flags, size=4)
    run("parts", *SHARDED, *flags, size=4)  # of which two hold nothing of most tensors
    for copy in ("", "_step00000003"):
        assert digests(f"parts{copy}") == digests(f"whole{copy}")
    for copy in ("_gold", "_ema", "_fp16"):
        here, there = (Path(f"checkpoints/{name}{copy}/model.pt") for name in ("parts", "whole"))
        assert here.read_bytes() == there.read_bytes()


@pytest.mark.slow
def test_stopped_it_is_saved_in_parts_which_any_number_of_processes_goes_on_with(folder):
    many = (*SHARDED, "--max_iters", "100000", "--snapshot_interval", "1", "--keep_snapshots", "2")
    main, *others = start("parts", *many, size=4)
    for line in main.said:
        if line.startswith("step 4/"):
            others[2].send(signal.SIGTERM)
            break
    said = main.wait()
    assert [process.wait() for process in others] == ["", "", ""]
    step = shards_of("parts")["step"]
    assert f"Stopped at step {step}; everything is saved" in said
    assert "to make a bundle of it: mypt format migrate checkpoints/parts_shards" in said
    migrated = Command("format", "migrate", "checkpoints/parts_shards")
    assert "checkpoints/parts" in migrated.wait()
    assert digests("parts") == digests(f"parts_step{step:08d}")
    shutil.rmtree("checkpoints/parts")
    run("parts", "--max_iters", str(step + 2), size=2)
    state = read_bundle(Path("checkpoints/parts")).training_state
    assert f"step {step}: world_size changed from 4 to 2" in state.inexact_reasons
    assert not Path("checkpoints/parts_shards").exists()
    shard_bundle(Path("checkpoints/parts"))
    shutil.rmtree("checkpoints/parts")
    run("parts", "--max_iters", str(step + 4), size=1)
    assert read_bundle(Path("checkpoints/parts")).training_state.step == step + 4
    assert not Path("checkpoints/parts_shards").exists()


@pytest.mark.slow
def test_a_disk_that_one_process_cannot_write_to_ends_all_and_keeps_the_save_before(folder):
    processes = start("parts", *SHARDED, size=4, before={2: when_flushing(r"__2_0", 3, full=True)})
    said = [process.wait() for process in processes]
    assert [process.code for process in processes] == [1] * 4
    for text in said:
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "the part of process 2 could not be written" in errors[0]
        assert "No space left on device" in errors[0]
        assert "Traceback" not in text
    assert shards_of("parts")["step"] == 1


@pytest.mark.slow
def test_processes_that_do_not_share_a_disk_are_refused_before_the_first_step(folder):
    (folder / "other").mkdir()
    shutil.copy("input.txt", "other")
    words = ("train", "--model_name", "parts", *SHARDED)
    places = (folder, folder, folder / "other", folder / "other")
    started = [
        Command(*words, env=env, cwd=place) for env, place in zip(ranks(4), places, strict=True)
    ]
    said = [process.wait() for process in started]
    assert [process.code for process in started] == [1] * 4
    assert len(set(said)) == 1
    assert re.fullmatch(
        r"error: --sharded_saves: has each process write its part to checkpoints, which process 2 "
        r"on \S+ does not share with the first process; put that folder on a disk that all "
        r"machines share, or leave it out: the first process then gathers each save\n",
        said[0],
    )
    assert [path.name for path in Path("checkpoints").iterdir()] == []


# Who is killed when, in the save of step 2, and the step that is whole then.
DEATHS = {
    "a part is written": (1, when_flushing(r"__1_0\.distcp$", 3), 1),
    "the first part is written": (0, when_flushing(r"__0_0\.distcp$", 3), 1),
    "a document is written": (0, when_flushing(r"/training_state\.json$", 3), 1),
    "the tensors are listed": (0, when_flushing(r"\.metadata\.tmp$", 3), 1),
    "the record is written": (0, when_flushing(r"shards\.json\.partial$", 3), 1),
    "the old save is removed": (0, when_removing_a_folder("generation-000002$"), 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("when", DEATHS)
def test_one_of_four_processes_is_killed_in_a_save_and_the_run_ends_in_the_same_bytes(folder, when):
    rank, death, step = DEATHS[when]
    run("whole", *SHARDED, size=4)
    processes = start("parts", *SHARDED, size=4, before={rank: death})
    said = [process.wait() for process in processes]
    codes = [process.code for process in processes]
    assert codes.pop(rank) == -signal.SIGKILL
    assert codes == [1, 1, 1], said
    assert not any("Traceback" in text for text in said)
    assert shards_of("parts")["step"] == step
    assert not Path("checkpoints/parts/manifest.json").exists()
    first, *_ = run("parts", *SHARDED, size=4)
    assert f"Resuming checkpoints/parts_shards from step {step}" in first
    assert read_bundle(Path("checkpoints/parts")).training_state.exact
    assert digests("parts") == digests("whole")
    assert digests("parts_gold") == digests("whole_gold")
    assert not Path("checkpoints/parts_shards").exists()
    assert not [p.name for p in Path("checkpoints").iterdir() if p.name.startswith(".")]


def measuring(file):
    """Return what has its process note the memory that it takes in addition to save at the end."""

    def arm():
        for name in ("save_copies", "save_bundle"):
            setattr(ShardedSaver, name, noting(name, getattr(ShardedSaver, name)))

    def noting(name, save):
        def measured(self, *arguments):
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak of before
            before = read_memory("VmRSS")
            save(self, *arguments)
            line = json.dumps({"what": name, "before": before, "peak": read_memory("VmHWM")})
            with Path(file).open("a") as stream:
                stream.write(line + "\n")

        return measured

    return arm


def read_memory(name):
    """Return what the system counts for this process, in bytes."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) << 10


@pytest.mark.slow
def test_no_process_holds_the_whole_model_to_write_the_bundle_at_the_end(folder):
    """200 MB of weights and 400 MB of moments; the largest tensor has 17 MB."""
    large = ("--n_embd", "1024", "--n_layer", "4", "--n_head", "4", "--max_iters", "1")
    notes = [Path(f"memory{rank}") for rank in range(4)]
    before = {rank: measuring(note.absolute()) for rank, note in enumerate(notes)}
    processes = start("large", *SHARDED, *large, size=4, before=before)
    said = [process.wait() for process in processes]
    assert [process.code for process in processes] == [0] * 4, said
    records = read_manifest(Path("checkpoints/large")).files
    whole = sum(records[name].size_bytes for name in ("model.pt", "optimizer.pt"))
    assert whole > 550e6
    lines = [json.loads(line) for note in notes for line in note.read_text().splitlines()]
    sys.stdout.write("".join(f"{line}\n" for line in lines))  # make resume shows it
    assert len(lines) >= 8
    assert all(line["peak"] - line["before"] < 0.25 * whole for line in lines), lines
    shutil.rmtree("checkpoints")
