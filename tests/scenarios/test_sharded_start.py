"""How runs begin whose processes hold parts of a model; real processes, gloo, on the CPU."""

import json
import os
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
import torch.distributed.checkpoint  # which is so no part of what is measured
import torch.distributed.fsdp

import mypt
from mypt.engine.training.trainer import Trainer
from tests.support.processes.command import Command
from tests.support.processes.ranks import ranks

FLAGS = (
    *("--input_file", "input.txt", "--tokenization", "char", "--device", "cpu", "--shard"),
    *("--block_size", "8", "--n_head", "2", "--batch_size", "4", "--dropout", "0"),
    *("--eval_interval", "50", "--eval_iters", "1"),
)
SMALL = ("--n_embd", "6", "--n_layer", "1")


def leave():
    """End this process once all of its run are here, of which none then waits for another."""
    run, size = os.environ["MASTER_PORT"], int(os.environ["WORLD_SIZE"])
    Path(f"{run}.{os.environ['RANK']}").touch()
    while not all(Path(f"{run}.{rank}").exists() for rank in range(size)):
        time.sleep(0.01)
    os._exit(0)


def end_before_the_first_update():
    Trainer.update = lambda _: leave()


def run(name, *flags, size, arms=None):
    """Save the first weights, or what the arms leave of a run; return what the first one says."""
    arms = arms or [end_before_the_first_update] * size
    words = ("train", "--model_name", name, *flags)
    started = [Command(*words, env=env, arm=a) for env, a in zip(ranks(size), arms, strict=True)]
    said = [process.wait() for process in started]
    assert [process.code for process in started] == [0] * size, said
    return said[0]


@pytest.fixture
def folder(in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    return in_tmp


def test_a_new_model_in_parts_is_that_of_one_process_and_so_is_what_begins_with_it(folder):
    run("one", *FLAGS, *SMALL, size=1)
    run("parts", *FLAGS, *SMALL, size=4)  # of which one has no row of a matrix with six
    first = Path("checkpoints/one/model.pt").read_bytes()
    assert Path("checkpoints/parts/model.pt").read_bytes() == first
    said = run("next", *FLAGS, "--init_from_model", "parts", size=4)
    assert Path("checkpoints/next/model.pt").read_bytes() == first
    assert "begins with the whole weights" not in said


@pytest.mark.slow
def test_what_is_made_of_another_model_is_whole_in_each_process_and_that_is_said(folder):
    flags = ("--init_from_model", "one", "--block_size", "6")
    run("one", *FLAGS, *SMALL, size=1)
    said = run("cut", *FLAGS, *flags, size=2)
    assert "Each process begins with the whole weights on the CPU" in said
    weights = {name: mypt.load(f"checkpoints/{name}").state_dict() for name in ("one", "cut")}
    before, cut = (weights[name]["position_embedding_table.weight"] for name in weights)
    assert torch.equal(cut, before[:6])


def measuring(file, *, ends):
    """Return what has its process note the most memory of its own until the run begins."""

    def arm():
        before, peak, train = read_own(), [0], Trainer.run

        def watch():
            while True:
                peak[0] = max(peak[0], read_own())
                time.sleep(0.002)

        def begin(trainer):
            Path(file).write_text(json.dumps({"before": before, "peak": peak[0] - before}))
            if ends:
                leave()
            return train(trainer)

        threading.Thread(target=watch, daemon=True).start()
        Trainer.run = begin

    return arm


def read_own():
    """Return the bytes in memory that this process has of no file."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", text)[1]) << 10


def measure(name, *flags, ends=True):
    """Run four processes; return the largest peak of one before the first step."""
    notes = [Path(f"memory{rank}").absolute() for rank in range(4)]
    run(name, *flags, size=4, arms=[measuring(note, ends=ends) for note in notes])
    lines = [json.loads(note.read_text()) for note in notes]
    sys.stdout.write(f"{name} {flags[:1]} {lines}\n")  # make resume shows it
    return max(line["peak"] for line in lines)


@pytest.mark.slow
def test_no_process_holds_the_whole_model_to_begin_new_or_resumed(folder):
    """300 MB of weights and 600 MB of moments; each process has a quarter, and 100 MB besides."""
    large = ("--n_embd", "1024", "--n_layer", "6", "--max_iters", "1", "--sharded_saves")
    new = measure("large", *FLAGS, *large, ends=False)
    weights = Path("checkpoints/large/model.pt").stat().st_size
    state = Path("checkpoints/large/optimizer.pt").stat().st_size
    assert weights > 300e6
    assert new < 0.85 * weights
    again = ("--max_iters", "2", "--shard", "--sharded_saves")
    assert measure("large", *again) < 0.6 * (weights + state)
    shutil.rmtree("checkpoints")
