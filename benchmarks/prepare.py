"""`mypt data prepare` of many small files, beside one file of the same text.

Every measurement is a fresh process that finds its texts in the page cache; its time is that of the
clock, and its processor time that of all its processes. `--files` and `--workers` change the load.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from interleaved import Pairs, Spent, machine, seconds

from mypt.data.stdlib_corpus import standard_library_text

ROUNDS = 5
SHORTEST, LONGEST = 200, 1800  # characters of a file


def main() -> None:
    """Write the texts, and print a line for each tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    machine()
    with tempfile.TemporaryDirectory() as folder:
        size = write_texts(Path(folder), given.files)
        print(f"{given.files:,} files, {size / 1e6:.0f} MB, {given.workers} workers", flush=True)
        for kind in ("char", "gpt2"):
            rounds = [
                [prepare(Path(folder), name, kind, given.workers) for name in ("small", "one.txt")]
                for _ in range(ROUNDS)
            ]
            for unit in Spent._fields:
                pairs = Pairs([tuple(getattr(one, unit) for one in both) for both in rounds])
                ours, theirs = pairs.medians
                print(
                    f"{kind}, {unit}: small files {ours:.2f} s; one file {theirs:.2f} s; ratio "
                    f"{pairs.ratio}, {ROUNDS} pairs",
                    flush=True,
                )


def write_texts(folder: Path, files: int) -> int:
    """Write small files and one of the same text; return the size of either."""
    text, draw = standard_library_text().text, random.Random(0)
    parts = []
    for number in range(files):
        place = folder / "small" / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        start = draw.randrange(len(text) - LONGEST)
        parts.append(text[start : start + draw.randrange(SHORTEST, LONGEST)])
        (place / f"{number:06d}.txt").write_text(parts[-1])
    return (folder / "one.txt").write_text("\n".join(parts))


def prepare(folder: Path, name: str, kind: str, workers: int) -> Spent:
    """Prepare a data set, and return what that took."""
    command = [sys.executable, "-m", "mypt", "data", "prepare", str(folder / name)]
    command += ["--output", str(folder / "out"), "--tokenization", kind, "--workers", str(workers)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = seconds(lambda: subprocess.run(command, check=True, capture_output=True))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(folder / "out")
    return Spent(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


if __name__ == "__main__":
    main()
