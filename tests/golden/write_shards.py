"""Write a sharded save with mypt itself: of a run of two processes, one of which was killed.

Run as `python -m tests.golden.write_shards` on Linux, when a version of the format is about to be
released. Beside it goes what the same run computes that nobody interrupts and that saves bundles:
its logits at the step of the save, and its weights at the end. A save that exists is left alone.
"""

import contextlib
import shutil
import tempfile
from pathlib import Path

import numpy as np

import mypt
from mypt.format.shards.places import RECORD
from mypt.format.shards.record import open_shards, read_state
from mypt.format.version import FORMAT_VERSION
from tests.golden.write_bundle import record
from tests.golden.write_checkpoints import HERE, TEXT
from tests.support.processes.command import Command
from tests.support.processes.deaths import when_flushing
from tests.support.processes.ranks import ranks

# Few tensors, since each takes a kilobyte or two in each of the parts. Without dropout, whose draws
# differ from one kind of processor to another.
FLAGS = (
    *("--input_file", TEXT.name, "--tokenization", "char", "--device", "cpu", "--shard"),
    *("--block_size", "8", "--n_embd", "4", "--n_head", "2", "--n_layer", "1", "--batch_size", "2"),
    *("--dropout", "0", "--no_bias", "--tie_weights", "--no_head_bias"),
    *("--pos_encoding", "rope", "--norm_type", "rmsnorm"),
    *("--max_iters", "6", "--eval_interval", "6", "--eval_iters", "1", "--learning_rate", "0.01"),
)
WHOLE = (*FLAGS, "--snapshot_interval", "1")
PARTS = (*FLAGS, "--sharded_saves", "--save_interval", "1")


def train(name, *flags, arm=lambda: None):
    """Train in two processes, of which the second may be armed; return their codes and texts."""
    words = ("train", "--model_name", name, *flags)
    arms = (lambda: None, arm)
    both = [Command(*words, env=env, arm=arm) for env, arm in zip(ranks(2), arms, strict=True)]
    said = [process.wait() for process in both]
    return [process.code for process in both], said


def collect_weights(path):
    """Return the values of a model by the names of its parameters."""
    return {name: tensor.detach().numpy() for name, tensor in mypt.load(path).named_parameters()}


def keep(shards, target):
    """Copy a sharded save, without what a killed run leaves of the next one."""
    generation = open_shards(shards).generation
    shutil.copytree(generation, target / shards.name / generation.name)
    shutil.copy(shards / RECORD, target / shards.name)


def main():
    target = HERE / f"shards_{FORMAT_VERSION.replace('.', '_')}"
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copy(TEXT, folder)
        codes, said = train("whole", *WHOLE)
        assert codes == [0, 0], said
        train("dante", *PARTS, arm=when_flushing(r"__1_0\.distcp$", 5))
        shards, whole = Path("checkpoints/dante_shards"), Path("checkpoints/whole")
        keep(shards, target)
        model = mypt.load(whole.with_name(f"whole_step{read_state(shards)['step']:08d}"))
        np.savez(target / "expected_weights.npz", **collect_weights(whole))
    record(target, shards.name, model)


if __name__ == "__main__":
    main()
