"""`python -m mypt.format validate` on a bundle of 124M parameters with its optimizer, in figures.

Its time stands beside `import jsonschema`, the rate of `--checksums` beside bare hashing of the
same files, its memory beside that of a tiny bundle; the start of `mypt --help` beside `import
click`. Every measurement is a fresh process that finds its bytecode compiled, as pip leaves it, and
its files in the page cache. The processor time of validating and of listing a tree of 2,000
small bundles, of which no two neighbours are alike, stands beside that of hashing their files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interleaved import Pairs, machine, measure

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES: dict[str, dict[str, Any]] = {
    "124M": {"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": 1024},
    "tiny": {"n_layer": 1, "n_head": 1, "n_embd": 16, "block_size": 16},
}
SMALL = {"n_layer": 2, "n_head": 2, "block_size": 8}
KINDS, BUNDLES = 20, 2000
HASH_TREE = (
    "import hashlib, pathlib, sys; "
    "[hashlib.file_digest(f.open('rb'), 'sha256') for f in pathlib.Path(sys.argv[1]).glob('*/*')]"
)
HASH = "import hashlib, sys; [hashlib.file_digest(open(f, 'rb'), 'sha256') for f in sys.argv[1:]]"
COLUMNS = "{:<33}{:>11}   {:<31}{:>12}   {}"
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Write the bundles, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        # In another process: the peak memory of a child is never below that of its parent.
        with get_context("spawn").Pool(1) as pool:
            pool.apply(write_bundles, (Path(folder),))
        print_table(Path(folder))


def write_bundles(folder: Path) -> None:
    """Write a bundle with optimizer state for each of `SIZES`."""
    import torch

    import mypt
    from mypt.engine.optimizers.build import make_optimizer
    from mypt.engine.optimizers.tracked import TrackedOptimizer

    machine()
    kinds = {f"kind{n}": {**SMALL, "n_embd": 8 * (n + 1)} for n in range(KINDS)}
    for name, sizes in {**SIZES, **kinds}.items():
        plugins = mypt.load_plugins()
        tokenizer = plugins.tokenizer("char" if name in kinds else "gpt2").train("abc")
        config = mypt.GPTConfig(
            tie_weights=True, head_bias=False, vocab_size=tokenizer.vocab_size, **sizes
        )
        model = mypt.GPT(config, tokenizer)
        optimizer = make_optimizer(model, mypt.TrainingConfig())
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        state = TrackedOptimizer(optimizer, model, "adamw").collect()
        model.save_checkpoint_bundle(folder / name, 1, state)
        if name in kinds:
            continue
        total = sum(p.numel() for p in model.parameters())
        size = sum(path.stat().st_size for path in (folder / name).iterdir())
        print(f"{name}: {total:,} parameters with optimizer, {size / 1e6:,.0f} MB", flush=True)


def print_table(folder: Path) -> None:
    """Measure, and print a line for each ratio."""

    def python(*arguments: str) -> int:
        return run(folder / "bytecode", *arguments)

    def validate(name: str, *flags: str) -> int:
        return python("-m", "mypt.format", "validate", str(folder / name), *flags)

    print(COLUMNS.format("mypt", "median", "beside", "median", "mypt / beside (all pairs)"))
    times = measure(lambda: validate("124M"), lambda: python("-c", "import jsonschema"), rounds=25)
    print_row("validate: time", "import jsonschema", times.scaled(1e3), "ms")
    times = measure(
        lambda: python("-m", "mypt", "--help"), lambda: python("-c", "import click"), rounds=25
    )
    print_row("mypt --help: time", "import click", times.scaled(1e3), "ms")
    files = sorted((folder / "124M").iterdir())
    size = sum(file.stat().st_size for file in files)
    times = measure(
        lambda: validate("124M", "--checksums"),
        lambda: python("-c", HASH, *map(str, files)),
        rounds=9,
    )
    rates = Pairs([(size / ours / 1e6, size / theirs / 1e6) for ours, theirs in times.rounds])
    print_row("validate --checksums: rate", "hashlib.file_digest, same files", rates, "MB/s")
    write_tree(folder)
    times = measure_cpu(
        lambda: validate("tree"), lambda: python("-c", HASH_TREE, str(folder / "tree")), rounds=5
    )
    print_row(f"validate {BUNDLES:,} bundles: processor", "hashlib, same files", times, "s")
    times = measure_cpu(
        lambda: python("-m", "mypt", "list", str(folder / "tree")),
        lambda: python("-c", HASH_TREE, str(folder / "tree")),
        rounds=5,
    )
    print_row(f"list {BUNDLES:,} bundles: processor", "hashlib, same files", times, "s")
    for flags in [], ["--checksums"]:
        peaks: list[tuple[float, float]] = [
            (validate("124M", *flags), validate("tiny", *flags)) for _ in range(5)
        ]
        name = " ".join(["validate", *flags])
        print_row(f"{name}: peak memory", "the same, tiny bundle", Pairs(peaks).scaled(1e-6), "MB")


def write_tree(folder: Path) -> None:
    """Copy the bundles of `KINDS` architectures in turn, so that no two neighbours are alike."""
    for number in range(BUNDLES):
        shutil.copytree(folder / f"kind{number % KINDS}", folder / "tree" / f"{number:05d}")


def measure_cpu(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int) -> Pairs:
    """Measure the processor time of the children that both run in turn, after a warm-up of each."""

    def spend(function: Callable[[], object]) -> float:
        before = os.times()
        function()
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])

    ours()
    theirs()
    return Pairs([(spend(ours), spend(theirs)) for _ in range(rounds)])


def print_row(name: str, other: str, pairs: Pairs, unit: str) -> None:
    """Print what was measured of mypt over what was measured beside it."""
    ours, theirs = (f"{median:.1f} {unit}" for median in pairs.medians)
    print(COLUMNS.format(name, ours, other, theirs, pairs.ratio), flush=True)


def run(bytecode: Path, *arguments: str) -> int:
    """Run Python, and give the most memory it took, in bytes.

    Args:
        bytecode: Where compiled modules are kept from one run to the next.
        arguments: Of Python.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return usage.ru_maxrss * MAXRSS_BYTES


if __name__ == "__main__":
    main()
