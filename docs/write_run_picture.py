"""Draw a first run as a terminal shows it, from its commands: docs/explanation/run.svg."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "explanation" / "run.svg"
PROMPT = "class Reader:\n    def __init__(self, "
COMMANDS = (
    ["train", "--model_name", "demo", "--input_file", "stdlib", "--config_file", "demo"],
    ["format", "validate", "checkpoints/demo"],
    ["generate", "demo", "--prompt", PROMPT, "--max_new_tokens", "160", "--temperature", "0.6"],
)
SHOWN = (
    "mypt train --model_name demo --input_file stdlib --config_file demo",
    "mypt format validate checkpoints/demo",
    "mypt generate demo --prompt 'class Reader: ...' --max_new_tokens 160 --temperature 0.6",
)
COLUMNS, LAST_OF_RUN, FIRST_OF_TEXT = 92, 11, 12
LINE, CHARACTER, MARGIN, SIZE = 19, 8.2, 16, 13.5
# Dark on any page: a terminal brings its own background.
BACKGROUND, TEXT, COMMAND, MARK = "#16191f", "#d3d7de", "#7ee2a8", "#f2c94c"


def run_commands(folder: Path) -> list[str]:
    """Run the commands in a folder, and return the lines of the picture."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS)}
    lines: list[str] = []
    for words, shown in zip(COMMANDS, SHOWN, strict=True):
        done = subprocess.run(  # noqa: S603 - our own commands
            [sys.executable, "-m", "mypt", *words],
            cwd=folder, env=environment, text=True, check=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        printed = done.stdout.rstrip("\n").splitlines()
        if words[0] == "train":
            printed = ["...", *printed[-LAST_OF_RUN:]]
        lines += [f"$ {shown}", *printed[:FIRST_OF_TEXT], ""]
    return lines[:-1]


def draw(lines: list[str]) -> str:
    """Return the picture of a terminal with these lines, as SVG without fonts or scripts.

    A line that is wider than the terminal goes on in the next, as it does there.
    """
    lines = [
        part
        for line in lines
        for part in textwrap.wrap(line, COLUMNS, drop_whitespace=False) or [""]
    ]
    width = round(COLUMNS * CHARACTER + 2 * MARGIN)
    height = LINE * len(lines) + 2 * MARGIN
    rows = [
        f'<text x="{MARGIN}" y="{MARGIN + LINE * (number + 0.75):g}" fill="{_choose_color(line)}">'
        f"{escape(line)}</text>"
        for number, line in enumerate(lines)
        if line
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" xml:space="preserve" font-size="{SIZE}" '
            'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace">',
            f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
            *rows,
            "</svg>\n",
        ]
    )


def _choose_color(line: str) -> str:
    if line.startswith("$ "):
        return COMMAND
    return MARK if "GOLD" in line else TEXT


def main() -> None:
    """Run the commands, and write the picture; it takes the minutes of a first run."""
    with tempfile.TemporaryDirectory() as folder:
        PICTURE.write_text(draw(run_commands(Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
