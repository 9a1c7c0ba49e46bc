"""The processor time in which each recipe reaches the loss at which nanoGPT's recipe ends.

All sides train models of one width and depth on the same tokens of the Python standard library, in
batches of one size, and are measured on the same held-out batches. They take turns of some updates
each, on the same threads; only their updates are timed, neither start nor evaluations. The sides:

- nanoGPT, out of a checkout (`--nanogpt PATH`): its `model.py`, and the recipe of its
  `config/train_shakespeare_char.py`: AdamW with betas 0.9 and 0.99, weight decay 0.1, a
  warm-up, half a cosine down to a tenth, a clipped gradient. Without dropout, since no text is
  seen twice, and with the best learning rate of those tried on a seed that is not measured here.
- Hugging Face's `Trainer` of a `GPT2LMHeadModel`: its AdamW, its linear schedule, the learning rate
  and warm-up of nanoGPT, since the defaults (5e-5, none) learn next to nothing in so few updates.
- mypt's presets, as they are but for the size that all sides have: once for a part of nanoGPT's
  updates, and once for about its time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import tempfile
import threading
import time
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import numpy as np
import torch
import torch.nn.functional as F
from interleaved import machine
from peers import import_nanogpt, make_trainer

import mypt
from mypt.data.new_tokenizer import NewTokenizer
from mypt.data.stdlib_corpus import standard_library_text
from mypt.engine.config.presets import read_preset
from mypt.engine.training.setup.model_setup import set_up_model
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.training import TrainingConfig
from mypt.plugins.manager import load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

warnings.simplefilter("ignore")  # of the peers

INTERVAL = 20  # updates of a turn, after which a side is measured
EVALUATION_BATCHES = 20
SEEDS = [1, 2, 3]
TUNING_SEED = 99
REFERENCE = "nanoGPT"
WARMUP = 0.05  # of the updates; its config has 100 of 5000
SIZE = {"n_layer", "n_head", "n_embd", "block_size", "batch_size"}


class Task(NamedTuple):
    """A shape, its batch, and what each side does with it.

    Attributes:
        tokenization: What makes tokens of the text.
        vocab_size: Rows of the output layer; None for as many as there are tokens.
        updates: Those of nanoGPT's run, and of Hugging Face's.
        learning_rate: The peak of both.
        preset: mypt's recipe.
        shares: The updates of its runs, as shares of nanoGPT's.
    """

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    batch_size: int
    tokenization: str
    vocab_size: int | None
    updates: int
    learning_rate: float
    preset: str
    shares: tuple[float, float]


TASKS = {
    "characters": Task(4, 4, 128, 128, 16, "char", None, 1000, 5e-3, "demo", (0.26, 0.6)),
    "GPT-2 tokens": Task(4, 4, 192, 128, 8, "gpt2", 50304, 260, 3e-3, "modern/tiny", (0.4, 1.2)),
}


class Point(NamedTuple):
    """What a side has reached: updates done, seconds of processor time, held-out loss in nats."""

    updates: int
    cpu: float
    loss: float


class Data(NamedTuple):
    """Ids of the whole text, and the batches that all sides are measured on."""

    ids: np.ndarray
    vocab_size: int
    held_out: list[tuple[torch.Tensor, torch.Tensor]]


class Side(NamedTuple):
    """A run that goes on by turns.

    Attributes:
        model: Its model, for evaluations.
        loss: Returns the loss of ids and their targets.
        turns: Makes `INTERVAL` updates by each `next`, and yields how many are done.
    """

    model: torch.nn.Module
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    turns: Iterator[int]


def main() -> None:
    """Measure the tasks, print a table for each, and write what was asked for."""
    arguments = _arguments()
    if arguments.redraw is not None:
        _draw(json.loads(arguments.redraw.read_text("utf-8")), arguments.plot)
        return
    machine()
    found = {}
    for name in arguments.shape or TASKS:
        task = TASKS[name]
        data = _read(task)
        if arguments.tune_nanogpt is not None:
            _tune(name, task, data, arguments)
            continue
        found[name] = {
            seed: _measure(_sides(task, data, arguments.nanogpt, seed), data)
            for seed in arguments.seeds
        }
        _print_table(name, task, found[name])
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if arguments.plot is not None:
        _draw(json.loads(json.dumps(found)), arguments.plot)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--shape", choices=TASKS, action="append")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument(
        "--tune_nanogpt", type=float, nargs="+", help="learning rates to try, and nothing else"
    )
    parser.add_argument("--output", type=Path, help="JSON of all points, to write")
    parser.add_argument("--plot", type=Path, help="picture of the losses, to write")
    parser.add_argument("--redraw", type=Path, help="JSON to plot instead of measuring")
    arguments = parser.parse_args()
    if arguments.redraw is None and arguments.nanogpt is None:
        parser.error("--nanogpt PATH: a checkout of nanoGPT is what all is measured by")
    if arguments.redraw is not None and arguments.plot is None:
        parser.error("--redraw needs --plot, the picture to write")
    return arguments


def _tune(name: str, task: Task, data: Data, arguments: argparse.Namespace) -> None:
    """Print the loss at which nanoGPT ends with each learning rate, on a seed of its own."""
    sides = {
        f"{rate:g}": _nanogpt(
            task._replace(learning_rate=rate), data, arguments.nanogpt, TUNING_SEED
        )
        for rate in arguments.tune_nanogpt
    }
    for rate, points in _measure(sides, data).items():
        print(f"{name}: {REFERENCE} with {rate} ends at {points[-1].loss:.4f}", flush=True)


def _read(task: Task) -> Data:
    """Tokenize the text, and draw the batches of evaluations from its last tenth."""
    text = standard_library_text().text
    tokenizer = NewTokenizer(task.tokenization).train([text], load_plugins())
    ids = np.asarray(tokenizer.encode_array(text))
    held_out = ids[len(ids) * 9 // 10 :]
    draw = np.random.default_rng(0)
    return Data(
        ids,
        task.vocab_size or tokenizer.n_vocab,
        [_windows(held_out, task, draw) for _ in range(EVALUATION_BATCHES)],
    )


def _windows(
    ids: np.ndarray, task: Task, draw: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a batch: ids and targets, each (batch_size, block_size) int64."""
    starts = draw.integers(0, len(ids) - task.block_size, task.batch_size)
    rows = np.stack([ids[start : start + task.block_size + 1] for start in starts])
    both = torch.from_numpy(rows.astype(np.int64))
    return both[:, :-1].contiguous(), both[:, 1:].contiguous()


def _sides(task: Task, data: Data, nanogpt: Path, seed: int) -> dict[str, Side]:
    sides = {REFERENCE: _nanogpt(task, data, nanogpt, seed)}
    try:
        sides["Hugging Face"] = _hugging_face(task, data, seed)
    except ImportError as error:
        print(f"Hugging Face is left out: {error}", flush=True)
    for share in task.shares:
        updates = round(task.updates * share / INTERVAL) * INTERVAL
        sides[f"mypt {task.preset}, {updates} updates"] = _mypt(task, data, updates, seed)
    return sides


def _measure(sides: dict[str, Side], data: Data) -> dict[str, list[Point]]:
    """Let the sides take turns until all are at their end."""
    found = {name: [Point(0, 0.0, _evaluate(side, data))] for name, side in sides.items()}
    going = dict(sides)
    while going:
        for name, side in list(going.items()):
            began = time.process_time()
            updates = next(side.turns, None)
            spent = time.process_time() - began
            if updates is None:
                del going[name]
            else:
                total = found[name][-1].cpu + spent
                found[name].append(Point(updates, total, _evaluate(side, data)))
    return found


@torch.no_grad()
def _evaluate(side: Side, data: Data) -> float:
    side.model.eval()
    losses = [side.loss(ids, targets).item() for ids, targets in data.held_out]
    side.model.train()
    return statistics.fmean(losses)


def first_reach(points: list[Point], loss: float) -> Point | None:
    """Return the first point at or below a loss; None where there is none."""
    return next((point for point in points if point.loss <= loss), None)


def last_within(points: list[Point], cpu: float) -> Point:
    """Return the last point that took no more processor time."""
    return [point for point in points if point.cpu <= cpu][-1]


def _mypt(task: Task, data: Data, updates: int, seed: int) -> Side:
    preset = read_preset(task.preset, load_plugins().layouts)
    size = {key: value for key, value in task._asdict().items() if key in SIZE}
    architecture = {**preset.architecture, **size, "vocab_size": data.vocab_size}
    settings = {**preset.training, "max_iters": updates, "seed": seed}
    config = from_document(mypt.GPTConfig, {**to_document(mypt.GPTConfig()), **architecture})
    training = from_document(TrainingConfig, {**to_document(TrainingConfig()), **settings})
    model = mypt.GPT(config, seed=seed).train()
    trainer = make_trainer(model, data.ids, training)

    def turns() -> Iterator[int]:
        with set_up_model(model, training):
            for done in range(1, updates + 1):
                trainer.update()
                if done % INTERVAL == 0:
                    yield done

    return Side(model, model.loss, turns())


def _nanogpt(task: Task, data: Data, checkout: Path, seed: int) -> Side:
    torch.manual_seed(seed)
    with redirect_stdout(None):
        module = import_nanogpt(checkout)
        size = {key: getattr(task, key) for key in SIZE - {"batch_size"}}
        sizes = module.GPTConfig(**size, vocab_size=data.vocab_size, dropout=0.0, bias=False)
        model = module.GPT(sizes)
        peak = task.learning_rate
        optimizer = model.configure_optimizers(0.1, peak, (0.9, 0.99), "cpu")
    draw, text = np.random.default_rng(seed), data.ids[: len(data.ids) * 9 // 10]

    def turns() -> Iterator[int]:
        for done in range(1, task.updates + 1):
            for group in optimizer.param_groups:
                group["lr"] = nanogpt_rate(done - 1, task.updates, peak)
            _, loss = model(*_windows(text, task, draw))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if done % INTERVAL == 0:
                yield done

    return Side(model, lambda ids, targets: model(ids, targets)[1], turns())


def nanogpt_rate(step: int, updates: int, peak: float) -> float:
    """Return the learning rate of nanoGPT's `train.py`, with a tenth of the peak as `min_lr`."""
    warmup = round(WARMUP * updates)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = (step - warmup) / (updates - warmup)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))


def _hugging_face(task: Task, data: Data, seed: int) -> Side:
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    torch.manual_seed(seed)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=data.vocab_size,
            n_positions=task.block_size,
            n_embd=task.n_embd,
            n_layer=task.n_layer,
            n_head=task.n_head,
            resid_pdrop=0.0,
            attn_pdrop=0.0,
            embd_pdrop=0.0,
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    text = data.ids[: len(data.ids) * 9 // 10]

    class Windows(torch.utils.data.IterableDataset[dict[str, torch.Tensor]]):
        def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
            draw = np.random.default_rng(seed)
            while True:
                ids = _windows(text, task._replace(batch_size=1), draw)[0][0]
                yield {"input_ids": ids, "labels": ids}

    turn = _Turn()

    class Turns(TrainerCallback):  # type: ignore[misc] # transformers is not looked at
        def on_step_begin(self, _: object, state: Any, *__: object, **___: object) -> None:
            if state.global_step == 0:
                turn.wait()

        def on_step_end(self, _: object, state: Any, *__: object, **___: object) -> None:
            if state.global_step % INTERVAL == 0:
                turn.hand_over(state.global_step)

    folder = tempfile.mkdtemp()
    arguments = TrainingArguments(
        folder,
        per_device_train_batch_size=task.batch_size,
        max_steps=task.updates,
        learning_rate=task.learning_rate,
        warmup_steps=round(WARMUP * task.updates),
        seed=seed,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Trainer(model, arguments, train_dataset=Windows(), callbacks=[Turns()])
    trainer.remove_callback(PrinterCallback)

    def loss(ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(ids).logits.flatten(0, 1), targets.flatten())

    return Side(model, loss, turn.iterate(trainer.train))


class _Turn:
    """Runs a function in a thread of its own, and stops it between its turns."""

    def __init__(self) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._updates: int | None = None
        self._error: BaseException | None = None

    def iterate(self, function: Callable[[], object]) -> Iterator[int]:
        """Yield what the function hands over, turn by turn."""
        threading.Thread(target=self._run, args=(function,), daemon=True).start()
        self._done.acquire()  # it is about to make its first update
        while True:
            self._go.release()
            self._done.acquire()
            if self._error is not None:
                raise self._error
            if self._updates is None:
                return
            yield self._updates

    def wait(self) -> None:
        """Wait for the next turn; called by the function."""
        self._done.release()
        self._go.acquire()

    def hand_over(self, updates: int) -> None:
        """End a turn after so many updates, and wait for the next; called by the function."""
        self._updates = updates
        self.wait()

    def _run(self, function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:
            self._error = error
        self._updates = None
        self._done.release()


def _print_table(name: str, task: Task, found: dict[int, dict[str, list[Point]]]) -> None:
    seeds = list(found.values())
    print(
        f"\n{name}: {task.n_layer} layers of {task.n_embd}, {task.batch_size} texts of "
        f"{task.block_size} tokens an update, seeds {', '.join(map(str, found))}"
    )
    print(
        "loss: held out, at the end; then when it was first at or below the loss at which "
        f"{REFERENCE} ends,\nas updates, seconds of processor time, and their share of its whole "
        "run; and the loss after the\ntime of that run. Medians, and the range over seeds."
    )
    for side in seeds[0]:
        ends = [one[side][-1].loss for one in seeds]
        whole = [one[REFERENCE][-1] for one in seeds]
        reached = [first_reach(one[side], end.loss) for one, end in zip(seeds, whole, strict=True)]
        equal = [
            last_within(one[side], end.cpu).loss for one, end in zip(seeds, whole, strict=True)
        ]
        cost = [one[side][-1].cpu / one[side][-1].updates * 1e3 for one in seeds]
        words = [f"{side}: loss {_spread(ends, '.4f')}", f"{_spread(cost, '.1f')} ms an update"]
        there = [point for point in reached if point is not None]
        if len(there) < len(reached):
            words.append(f"reaches it in {len(there)} of {len(reached)}")
        else:
            shares = [r.cpu / end.cpu for r, end in zip(there, whole, strict=True)]
            words.append(f"there after {_spread([r.updates for r in there], '.0f')} updates")
            words.append(f"{_spread([r.cpu for r in there], '.1f')} s")
            words.append(f"{_spread(shares, '.2f')} of its time")
        words.append(f"after equal time {_spread(equal, '.4f')}")
        print("  " + "; ".join(words), flush=True)


def _spread(values: list[float], form: str) -> str:
    low, high = min(values), max(values)
    middle = f"{statistics.median(values):{form}}"
    return middle if low == high else f"{middle} ({low:{form}} to {high:{form}})"


def _draw(found: dict[str, dict[str, dict[str, list[list[float]]]]], path: Path) -> None:
    """Draw the losses over the processor time, as a share of nanoGPT's: a line for each seed."""
    from matplotlib.figure import Figure

    from mypt.plotting.image import COLOURS, FAINT, GRID

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, (name, seeds) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
    ):
        ends = []
        for points in seeds.values():
            _, whole, end = points[REFERENCE][-1]
            ends.append(end)
            for number, (side, line) in enumerate(points.items()):
                shown = [(cpu / whole, loss) for _, cpu, loss in line[1:] if cpu <= 1.02 * whole]
                is_first = points is next(iter(seeds.values()))
                axes.plot(
                    *zip(*shown, strict=True),
                    color=COLOURS[number],
                    linewidth=1.4,
                    label=side if is_first else None,
                )
        axes.axhline(statistics.median(ends), color=FAINT, linestyle=":", linewidth=1)
        axes.set_title(name, fontsize=11)
        axes.set_xlabel(f"processor time, of {REFERENCE}'s whole run", color=FAINT)
        low = min(line[-1][2] for points in seeds.values() for line in points.values())
        axes.set_ylim(low - 0.05, statistics.median(ends) + 1.2)
        axes.set_xlim(0, 1.02)
        axes.grid(visible=True, color=GRID)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("held-out loss (nats per token)", color=FAINT)
    is_svg = path.suffix == ".svg"
    figure.savefig(path, metadata={"Date": None} if is_svg else None, dpi=150)


if __name__ == "__main__":
    main()
