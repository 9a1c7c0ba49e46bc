"""What a save costs a training run: beside it, as mypt does, and synchronously.

One round is: some plain steps, a save that is written beside the steps that follow it, and a save
that the run waits for. Both write the same files, with the same digests and fsyncs. On a CPU the
writer and the training share the cores; with a GPU the training does not need them.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from interleaved import Pairs, machine, seconds

import mypt
from mypt.data.batches.batch import Batch
from mypt.engine.checkpoints.async_saver import AsyncSaver, CopyBuffers
from mypt.engine.checkpoints.checkpointer import Checkpointer
from mypt.engine.checkpoints.saver import DirectSaver, Part
from mypt.engine.checkpoints.write import describe_model, weights_of
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.optimizers.tracked import TrackedOptimizer
from mypt.engine.training.update import Updater
from mypt.format.documents.training import TrainingState
from mypt.format.storage.commit import open_for_writing

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"n_layer": 6, "n_head": 6, "n_embd": 192, "block_size": 64, "batch_size": 8},
    "124M": {"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": 64, "batch_size": 1},
}
VOCAB_SIZE = {"small": 128, "124M": 50304}
ROUNDS = {"small": 15, "124M": 4}
PLAIN_STEPS = 3
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Measure each shape in a process of its own, whose peak memory is then its own too."""
    for name in SHAPES:
        with get_context("spawn").Pool(1) as pool:
            pool.apply(measure_shape, (name,))


def measure_shape(name: str) -> None:
    """Print what saves of one shape cost."""
    if name == next(iter(SHAPES)):
        machine()
    with tempfile.TemporaryDirectory() as folder, open_for_writing(Path(folder) / name) as writer:
        run = Run(name, Checkpointer(writer, describe_model(new_model(name), None)))
        run.step()
        before = peak_memory()
        run.save_beside()
        extra = peak_memory() - before
        run.save_synchronously()
        rounds = [run.round() for _ in range(ROUNDS[name])]
    parameters = sum(p.numel() for p in run.model.parameters())
    print(f"{name}: {parameters / 1e6:.1f}M parameters, {run.size / 1e6:,.0f} MB with optimizer")
    plain, stall, following, synchronous = ([part[i] for part in rounds] for i in range(4))
    pairs = Pairs(list(zip(stall, synchronous, strict=True)))
    ours, theirs = pairs.scaled(1e3).medians
    print(f"  a step: {statistics.median(plain) * 1e3:,.1f} ms; {ROUNDS[name]} rounds")
    print(f"  a save adds {ours:,.1f} ms, a synchronous one {theirs:,.1f} ms; ratio {pairs.ratio}")
    slowed = Pairs(list(zip(following, plain, strict=True)))
    print(f"  a step while it is written, to a plain one: {slowed.ratio}")
    lost = Pairs([(a + b, c) for a, b, c in zip(stall, run.lost, synchronous, strict=True)])
    print(f"  all that a save takes from the training, to a synchronous one: {lost.ratio}")
    print(f"  memory: {extra / run.size:.2f} times weights and optimizer", flush=True)


def new_model(name: str) -> mypt.GPT:
    """Build the model of one shape."""
    return mypt.GPT(mypt.GPTConfig(**SHAPES[name], vocab_size=VOCAB_SIZE[name], tie_weights=True))


class Run:
    """A training run that saves.

    Attributes:
        model: What is trained.
        size: Bytes of weights and moments.
        lost: Seconds that the steps after each save took beyond plain ones.
    """

    def __init__(self, name: str, checkpointer: Checkpointer) -> None:
        """Build model and optimizer."""
        self.model, self.lost = new_model(name).train(), list[float]()
        training = mypt.TrainingConfig(max_iters=10**6)
        optimizer = make_optimizer(self.model, training)
        updater = Updater(self.model, optimizer, training)
        ids = torch.randint(VOCAB_SIZE[name], (SHAPES[name]["batch_size"], 65))
        batch = Batch(ids[:, :-1], ids[:, 1:])
        self.step = partial(updater.update, [batch], 0)
        self._state = TrackedOptimizer(optimizer, self.model, training.optimizer).collect
        self._saver = AsyncSaver(CopyBuffers())
        self._own = Part(partial(checkpointer.write_own, state=TrainingState(step=1)))
        self.size = 3 * sum(p.nbytes for p in self.model.parameters())

    def round(self) -> tuple[float, float, float, float]:
        """Give a plain step, a save's stall, a step beside its writing, a synchronous save."""
        plain = statistics.median(seconds(self.step) for _ in range(PLAIN_STEPS))
        stall, following = self.save_beside()
        self.lost.append(sum(following) - len(following) * plain)
        return plain, stall, statistics.median(following), seconds(self.save_synchronously)

    def save_beside(self) -> tuple[float, list[float]]:
        """Give the seconds of the call, and of each step until all is written."""
        parts = weights_of(self.model), self._state()
        stall = seconds(lambda: self._saver.save(*parts, self._own))
        following = [seconds(self.step)]
        while self._saver._writing is not None:
            following.append(seconds(self.step))
            self._saver.check()
        return stall, following

    def save_synchronously(self) -> None:
        """Write the model itself; training waits."""
        DirectSaver().save(weights_of(self.model), self._state(), self._own)


def peak_memory() -> int:
    """Give the most memory that this process ever took, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES


if __name__ == "__main__":
    main()
