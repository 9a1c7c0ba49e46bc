"""Write what the commands of the pages print into the pages, from runs of those very commands.

A block ```` ```output ```` quotes the commands of the `sh` block before it: each of its lines
stands for the next printed line of the same form, whatever the figures; `...` stands for lines left
out.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mypt.data.stdlib_corpus import standard_library_text

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(sh|output)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXT_CHARACTERS = 1_000_000
LEFT_OUT = "..."
# Of the terminal whose output is quoted; wider ones show more columns.
WIDTH = "80"
# Commands that set up a checkout, or install.
SETUP = ("make ", "python -m venv", "python -m pip", ".venv/bin/")
FORMS = (
    (re.compile(r"\d[\d,.:]*(e[-+]\d+)?"), "#"),
    (re.compile(r"#[KMG]?B?(?= |$)"), "#"),
    (re.compile(r"#[hms](in)?( #[hms](in)?)*"), "#s"),
    (re.compile(r"ETA \?"), "ETA #s"),
    (re.compile(r"\s+"), " "),
)


def form(line: str) -> str:
    """Return the line without what differs from run to run: figures, units and alignment."""
    for pattern, replacement in FORMS:
        line = pattern.sub(replacement, line)
    return line.strip()


def fill(quoted: str, printed: str) -> str:
    """Return the quoted lines as they were printed.

    Raises:
        ValueError: For a line that nothing printed after the line before has the form of.
    """
    rest = iter(printed.splitlines())
    return "".join(
        f"{line if line.strip() == LEFT_OUT else _next_of(form(line), rest)}\n"
        for line in quoted.splitlines()
    )


def _next_of(wanted: str, lines: Iterator[str]) -> str:
    for line in lines:
        if form(line) == wanted:
            return line.rstrip()
    message = f"not printed: {wanted}"
    raise ValueError(message)


def commands(block: str) -> list[list[str]]:
    """Return the words of each command of a block, other than those that set up or install."""
    lines = block.replace("\\\n", " ").splitlines()
    found = (shlex.split(line, comments=True) for line in lines if not line.startswith(SETUP))
    return [words for words in found if words]


def written_anew(page: str, folder: Path) -> str:
    """Run the commands of a page in a folder, and return the page with what they print."""
    printed, parts, end = "", [], 0
    for block in BLOCK.finditer(page):
        if block[1] == "sh":
            printed = "".join(_run(words, folder) for words in commands(block[2]))
        else:
            parts += [page[end : block.start(2)], fill(block[2], printed)]
            end = block.end(2)
    return "".join([*parts, page[end:]])


def _run(words: list[str], folder: Path) -> str:
    if words[0] not in {"mypt", "python"}:
        return ""
    command = [sys.executable, *(["-m", "mypt"] if words[0] == "mypt" else []), *words[1:]]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": WIDTH}
    done = subprocess.run(  # noqa: S603 - commands of our own pages
        command, cwd=folder, text=True, check=True, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout


def main() -> None:
    """Run the commands of each page that quotes output, and write the page."""
    for path in chain([ROOT / "README.md"], sorted((ROOT / "docs").rglob("*.md"))):
        page = path.read_text(encoding="utf-8")
        if "\n```output\n" in page:
            with tempfile.TemporaryDirectory() as folder:
                text = standard_library_text().text[:TEXT_CHARACTERS]
                Path(folder, "input.txt").write_text(text, encoding="utf-8")
                path.write_text(written_anew(page, Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
