"""From a command to its first token or update, and from a 124M bundle to a model, beside torch.

Each side is a process of its own; what is compared is wall time, processor time and peak memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from interleaved import Pairs, machine, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from resource import struct_rusage

SHAPE = {
    "n_layer": 12,
    "n_head": 12,
    "n_embd": 768,
    "block_size": 1024,
    "tie_weights": True,
    "head_bias": False,
}
ROUNDS = 7
READ = """
import sys, torch
weights = torch.load(sys.argv[1] + "/model.pt", mmap=True, weights_only=True)
for tensor in weights.values():
    tensor.sum()
"""
MAP = "import sys, torch; torch.load(sys.argv[1] + '/model.pt', mmap=True, weights_only=True)"
UPDATE = """
import torch
layer = torch.nn.Linear(8, 8)
optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
layer(torch.ones(8)).sum().backward()
optimizer.step()
"""
TRAIN = """
import os, sys, tempfile
from mypt.cli.main import main
os.chdir(tempfile.mkdtemp(dir=sys.argv[1]))
with open("input.txt", "w") as file:
    file.write("the cat sat on the mat. " * 99)
main(["train", "--model_name", "new", "--input_file", "input.txt", "--device", "cpu",
      "--n_layer", "1", "--n_head", "1", "--n_embd", "8", "--block_size", "8",
      "--batch_size", "1", "--max_iters", "1", "--eval_iters", "1"])
"""
LOAD = "import sys, torch, mypt; mypt.load(sys.argv[1])"


def main() -> None:
    """Compare, with the files in the cache of the system on both sides."""
    with tempfile.TemporaryDirectory() as folder:
        _write(folder)
        generate = ["-m", "mypt", "generate", "--model_name", folder, "--prompt", "In the"]
        _compare(
            "first token of a 124M model",
            [*generate, "--max_new_tokens", "1"],
            "import torch and read the mapped weights",
            ["-c", READ, folder],
        )
        _compare(
            "mypt.load of a 124M bundle",
            ["-c", LOAD, folder],
            "import torch and torch.load(mmap=True)",
            ["-c", MAP, folder],
        )
        _compare(
            "mypt train of one update, kept",
            ["-c", TRAIN, folder],
            "one update with torch.optim.AdamW",
            ["-c", UPDATE],
        )
    _compare("mypt --help", ["-m", "mypt", "--help"], "import click", ["-c", "import click"])
    machine()  # last: it imports torch, and a child's peak counts what it is forked from


def _compare(ours: str, our_words: Sequence[str], theirs: str, their_words: Sequence[str]) -> None:
    both = (our_words, their_words)
    for words in both:
        _run(words)
    measured = [[_run(words) for words in both] for _ in range(ROUNDS)]
    print(f"{ours}, beside {theirs}:")
    for index, name in enumerate(("wall time", "processor time", "peak memory")):
        pairs = Pairs([(mine[index], other[index]) for mine, other in measured])
        unit, factor = (" MB", 1) if index == 2 else (" ms", 1e3)
        mine, other = (value * factor for value in pairs.medians)
        print(f"  {name}: {mine:.0f}{unit} and {other:.0f}{unit}, ratio {pairs.ratio}", flush=True)


def _run(words: Sequence[str]) -> tuple[float, float, float]:
    """Run Python; give wall and processor time in seconds and the peak memory in MB."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, env=environment)
    found: dict[str, tuple[int, int, struct_rusage]] = {}
    wall = seconds(lambda: found.update(usage=os.wait4(process.pid, 0)))
    _, status, usage = found["usage"]
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        message = f"{words} failed"
        raise RuntimeError(message)
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _write(folder: str) -> None:
    """Write the bundle in a process of its own, so that this one stays small."""
    program = (
        "import sys, mypt\n"
        "from mypt.plugins.manager import load_plugins\n"
        "plugins = load_plugins()\n"
        "tokenizer = plugins.tokenizer('gpt2').train('')\n"
        f"config = mypt.GPTConfig(vocab_size=tokenizer.vocab_size, **{SHAPE!r})\n"
        "mypt.GPT(config, tokenizer, plugins=plugins).save(sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-c", program, str(Path(folder))], check=True)


if __name__ == "__main__":
    main()
