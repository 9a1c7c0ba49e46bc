"""One update of mypt beside those of nanoGPT and Hugging Face, all in turn, on models of one shape.

The model is GPT-2's: layer norm, exact GELU, learned positions, the head tied to the embedding. The
data are the same ids; the precision is float32 on a CPU and bf16 autocast on a GPU. Each side is
what its users run: mypt's `Trainer` with all that makes a run repeatable, nanoGPT's `model.py` and
AdamW out of a checkout (`--nanogpt PATH`) in a loop like that of its `train.py`, Hugging Face's
`GPT2LMHeadModel` with the fused AdamW that its trainer takes by default.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import warnings
from contextlib import ExitStack, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import numpy as np
import torch
from interleaved import Pairs, Spent, machine, seconds, spent
from peers import import_nanogpt, make_trainer

import mypt
from mypt.data.randomness import Purpose, torch_seed
from mypt.engine.runtime.mfu import flops_per_token, peak_flops
from mypt.engine.training.setup.model_setup import set_up_model
from mypt.engine.training.update import Update, Updater
from mypt.format.documents.training import TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from mypt.data.batches.batch import Batch
    from mypt.engine.training.trainer import Trainer

warnings.simplefilter("ignore")  # of the peers

MIB = 1 << 20
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


class Shape(NamedTuple):
    """A model and its batch."""

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    vocab_size: int
    batch_size: int
    dropout: float = 0.0

    @property
    def model(self) -> dict[str, Any]:
        """What mypt's and nanoGPT's configs both call so."""
        fields = self._asdict()
        del fields["batch_size"]
        return fields


# As the presets of these names; a batch of more tokens says nothing new and takes its time.
SHAPES = {
    "demo": Shape(4, 4, 128, 128, 96, 16),
    "small-char": Shape(6, 6, 384, 256, 96, 8, 0.2),
    "tiny": Shape(4, 4, 192, 128, 50304, 16, 0.2),
    "small": Shape(6, 6, 384, 256, 50304, 8, 0.2),
    "124M": Shape(12, 12, 768, 1024, 50304, 1),
}
ON_GPU = {
    "124M": Shape(12, 12, 768, 1024, 50304, 16),
    "350M": Shape(24, 16, 1024, 1024, 50304, 8),
}


class Setup(NamedTuple):
    """What the sides have in common."""

    shape: Shape
    device: torch.device
    compile: bool
    nanogpt: Path | None
    ids: Path

    @property
    def precision(self) -> AbstractContextManager[object]:
        """Context of the forward pass."""
        gpu = self.device.type == "cuda"
        return torch.autocast("cuda", torch.bfloat16) if gpu else nullcontext()


def main() -> None:
    """Measure each shape, and print the tables."""
    arguments = _arguments()
    shapes = ON_GPU if arguments.device == "cuda" else SHAPES
    with tempfile.TemporaryDirectory() as folder:
        ids = Path(folder) / "train.bin"
        np.random.default_rng(0).integers(0, 96, 1 << 20, np.uint16).tofile(ids)
        setups = {
            name: Setup(
                shapes[name],
                torch.device(arguments.device),
                arguments.compile,
                arguments.nanogpt,
                ids,
            )
            for name in arguments.shape or shapes
        }
        if arguments.peak_of is not None:
            print(_peak(SIDES[arguments.peak_of], *setups.values()))
            return
        machine()
        for name in setups if arguments.memory else ():
            _print_memory(name, _sides(arguments.nanogpt))
        for name, setup in setups.items() if not arguments.memory else ():
            with ExitStack() as stack:
                _print_times(name, setup, arguments, stack)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--shape", choices={**SHAPES, **ON_GPU}, action="append")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--compile", action="store_true", help="on all sides")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=1, help="updates measured as one")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    parser.add_argument("--peak_of", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    there = ON_GPU if arguments.device == "cuda" else SHAPES
    missing = [name for name in arguments.shape or () if name not in there]
    if missing:
        parser.error(f"--shape {missing[0]} is not measured on {arguments.device}: {list(there)}")
    return arguments


def _sides(nanogpt: Path | None) -> list[str]:
    return [name for name in SIDES if name != "nanoGPT" or nanogpt is not None]


def _print_times(name: str, setup: Setup, arguments: argparse.Namespace, stack: ExitStack) -> None:
    updates = {side: SIDES[side](setup, stack) for side in _sides(setup.nanogpt)}
    if setup.compile:
        updates["mypt, not compiled"] = _mypt(setup._replace(compile=False), stack)
    for update in updates.values():
        _several(update, 2, setup.device)()
    calls = {s: _several(update, arguments.steps, setup.device) for s, update in updates.items()}
    rounds = [{side: spent(call) for side, call in calls.items()} for _ in range(arguments.rounds)]
    tokens = setup.shape.batch_size * setup.shape.block_size * arguments.steps
    ours = statistics.median(round_["mypt"].wall for round_ in rounds)
    print(f"{name}: mypt {tokens / ours:,.0f} tokens/s, {ours / arguments.steps * 1e3:.1f} ms")
    for side in calls:
        if side != "mypt":
            wall, cpu = (
                Pairs([(round_["mypt"][i], round_[side][i]) for round_ in rounds]).ratio
                for i in range(len(Spent._fields))
            )
            print(f"  {side}: wall time {wall} of its, processor time {cpu}")
    _print_exactness(setup, ours / arguments.steps)
    if setup.device.type == "cuda":
        _print_mfu(setup, tokens / ours)
    sys.stdout.flush()


def _print_exactness(setup: Setup, update_s: float) -> None:
    """Print what is done around an update so that it can be repeated, as a share of it."""
    trainer = _trainer(setup)

    class Seeding(Updater):
        def __init__(self) -> None:
            """Take nothing: there is no update to make."""

        def update(self, batches: Sequence[Batch], step: int, **_: object) -> Update:
            torch.manual_seed(torch_seed(1337, Purpose.DROPOUT, step, len(batches) - 1))
            return Update(torch.zeros(()), 0.0)

    trainer._updater = Seeding()
    cost = statistics.median(seconds(trainer.update) for _ in range(200))
    print(f"  batch, seed and state: {cost * 1e3:.3f} ms, {cost / update_s:.2%} of the update")


def _print_mfu(setup: Setup, tokens_per_sec: float) -> None:
    """Print the share of the device's peak that the model's own products take, as runs log it."""
    peak = peak_flops(setup.device, TrainingConfig())
    if peak is None:
        print(f"  the peak of {torch.cuda.get_device_name()} is not known here")
        return
    with torch.device("meta"):
        flops = flops_per_token(mypt.GPT(_config(setup.shape)))
    assert flops is not None  # None is for windows and for parts of plugins
    mfu = tokens_per_sec * flops / peak
    print(f"  MFU = tokens/s x (6 N + 12 L H Q T) / {peak:.3g}: {mfu:.1%}")


def _several(update: Callable[[], object], steps: int, device: torch.device) -> Callable[[], None]:
    def call() -> None:
        for _ in range(steps):
            update()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return call


def _print_memory(name: str, sides: list[str]) -> None:
    """Print each side's peak, of a process that made two updates."""
    peaks = {}
    options = [word for word in sys.argv[1:] if word not in {"--shape", *SHAPES, *ON_GPU}]
    for side in sides:
        words = [sys.executable, __file__, *options, "--shape", name, "--peak_of", side]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        peaks[side] = float(done.stdout.split()[-1])
    print(f"{name}: mypt {peaks['mypt']:,.0f} MiB for the training")
    for side, peak in peaks.items():
        if side != "mypt":
            print(f"  {side}: {peak:,.0f} MiB, mypt takes {peaks['mypt'] / peak:.2f} of that")
    sys.stdout.flush()


def _peak(side: Callable[[Setup, ExitStack], Callable[[], object]], setup: Setup) -> float:
    """Give the most memory of two updates, in MiB, above what a process needs for any model."""
    with ExitStack() as stack:  # all that is imported at the first use
        side(setup._replace(shape=Shape(1, 1, 8, 8, 96, 1)), stack)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ExitStack() as stack:
        _several(side(setup, stack), 2, setup.device)()
    if setup.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / MIB
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * MAXRSS_BYTES / MIB


def _mypt(setup: Setup, stack: ExitStack) -> Callable[[], object]:
    trainer = _trainer(setup)
    stack.enter_context(set_up_model(trainer.model, trainer.state.training_config))
    return trainer.update


def _config(shape: Shape) -> mypt.GPTConfig:
    return mypt.GPTConfig(
        **shape.model,
        batch_size=shape.batch_size,
        bias=True,
        head_bias=False,
        tie_weights=True,
        mlp_type="gelu",
    )


def _trainer(setup: Setup) -> Trainer:
    config = _config(setup.shape)
    model = mypt.GPT(config).to(setup.device).train()
    training = TrainingConfig(max_iters=10**6, compile=setup.compile)
    ids = np.fromfile(setup.ids, np.uint16)
    return make_trainer(model, ids, training)


def _nanogpt(setup: Setup, _: ExitStack) -> Callable[[], object]:
    assert setup.nanogpt is not None  # `_sides` leaves it out otherwise
    with redirect_stdout(None):
        module = import_nanogpt(setup.nanogpt)
        model = module.GPT(module.GPTConfig(**setup.shape.model, bias=True)).to(setup.device)
        model.transformer.drop.p = 0.0  # dropout of the embedding, which the others lack
        optimizer = model.configure_optimizers(0.1, 3e-4, (0.9, 0.95), setup.device.type)
    return _loop(setup, model, optimizer, lambda compiled, x, y: compiled(x, y)[1])


def _hugging_face(setup: Setup, _: ExitStack) -> Callable[[], object]:
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = setup.shape
    config = GPT2Config(
        vocab_size=shape.vocab_size,
        n_positions=shape.block_size,
        n_embd=shape.n_embd,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        activation_function="gelu",
        resid_pdrop=shape.dropout,
        attn_pdrop=shape.dropout,
        embd_pdrop=0.0,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = GPT2LMHeadModel(config).to(setup.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-4, (0.9, 0.95), fused=True)
    return _loop(setup, model, optimizer, lambda compiled, x, _: compiled(x, labels=x).loss)


def _loop(
    setup: Setup,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[..., torch.Tensor],
) -> Callable[[], object]:
    """Draw, forward, backward, clip and step, as a loop written by hand does."""
    data = np.memmap(setup.ids, np.uint16, mode="r")
    length, device = setup.shape.block_size, setup.device
    compiled = torch.compile(model) if setup.compile else model

    def windows(starts: list[int]) -> torch.Tensor:
        rows = torch.stack(
            [torch.from_numpy(data[i : i + length].astype(np.int64)) for i in starts]
        )
        return rows.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else rows

    def update() -> None:
        starts = torch.randint(len(data) - length, (setup.shape.batch_size,)).tolist()
        with setup.precision:
            loss = loss_of(compiled, windows(starts), windows([i + 1 for i in starts]))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return update


SIDES = {"mypt": _mypt, "nanoGPT": _nanogpt, "Hugging Face": _hugging_face}


if __name__ == "__main__":
    main()
