"""Draw the pictures of docs/gallery.md: `write_gallery.py [NAME ...]`, all by default.

It trains four small models on mypt's specification, a minute or two, and draws what mypt can draw.
On one machine the same versions of mypt, torch and matplotlib draw the same SVG, but for the times
and dates that `compare` and `inspect` print. The picture of the page needs selenium, and Debian's
chromium and chromium-driver; that of the chat page is taken by `write_chat_page.py`.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "gallery"
TEXT = ROOT / "docs" / "specification" / "2.0.md"
WIDTH = "100"
# What the runs have in common: small enough for two cores, and long enough for curves.
SIZES = {"n_layer": 2, "n_head": 2, "block_size": 64, "batch_size": 8}
LENGTH = {"max_iters": 300, "warmup_iters": 20, "learning_rate": 3e-3, "eval_iters": 4}
LENGTH |= {"log_interval": 0}  # the figures of updates hold times, which differ from run to run
RUNS = {
    "dante": {"n_embd": 64, "eval_interval": 25, "dropout": 0.1},
    "narrow": {"n_embd": 32, "eval_interval": 50},
    "timed": {"n_embd": 64, "eval_interval": 50, "log_interval": 5},
    "wide": {"n_embd": 96, "eval_interval": 50, "batch_size": 16},
}
FIND_RATE = "mypt train --model_name new --input_file input.txt --config_file small.json --find_lr"
# The command that draws each picture; of those without a file, the terminal is the picture.
PICTURES = {
    "run.svg": "mypt plot dante --output run.svg",
    "runs.svg": "mypt plot narrow wide --output runs.svg",
    "tokens.svg": "mypt plot narrow wide --x tokens --output tokens.svg",
    "rates.svg": f"{FIND_RATE} --find_lr_plot rates.svg",
    "terminal.svg": "mypt plot dante",
    "terminal-runs.svg": "mypt plot narrow wide",
    "terminal-rates.svg": FIND_RATE,
    "compare.svg": "mypt compare narrow wide --input_file input.txt",
    "inspect.svg": "mypt inspect dante",
    "page.png": "mypt plot timed --output page.html",
}
MATPLOTLIB = "svg.hashsalt: mypt\nsvg.fonttype: none\n"


def main() -> None:
    """Train, and draw the pictures that were named."""
    names = sys.argv[1:] or [*PICTURES]
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), {word for name in names for word in PICTURES[name].split()})
        for name in names:
            draw(name, Path(folder), FOLDER)
            sys.stdout.write(f"{name}: {(FOLDER / name).stat().st_size:,} bytes\n")


def train(folder: Path, needed: set[str], **settings: object) -> None:
    """Train the models that are needed in a folder; `settings` replace those in common."""
    (folder / "input.txt").write_text(TEXT.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "matplotlibrc").write_text(MATPLOTLIB, encoding="utf-8")
    common = {"tokenization": "char", "device": "cpu", **SIZES, **LENGTH, **settings}
    (folder / "small.json").write_text(json.dumps({**common, "n_embd": 64}), encoding="utf-8")
    command = ["mypt", "train", "--input_file", "input.txt"]
    for name, own in RUNS.items():
        if name in needed:
            (folder / f"{name}.json").write_text(json.dumps({**common, **own}), encoding="utf-8")
            run([*command, "--model_name", name, "--config_file", f"{name}.json"], folder)


def draw(name: str, folder: Path, target: Path) -> None:
    """Draw a picture with the models in a folder, and put it into another."""
    words = PICTURES[name].split()
    printed = run(words, folder)
    if name in words:
        shutil.copyfile(folder / name, target / name)
    elif name.endswith(".svg"):
        (target / name).write_text(draw_terminal(PICTURES[name], printed), encoding="utf-8")
    else:
        photograph(folder / words[-1], target / name)


def run(words: list[str], folder: Path) -> str:
    """Run a command of mypt in a folder, as on a terminal with colours; return what it prints."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": WIDTH}
    if words[1] != "train":  # which also moves on a terminal, and a picture does not
        environment["FORCE_COLOR"] = "1"
    environment |= {
        "MATPLOTLIBRC": str(folder / "matplotlibrc"),
        "PYTHONIOENCODING": "utf-8",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(  # noqa: S603 - commands of our own
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=True,
        env=environment, encoding="utf-8",
    )  # fmt: skip
    return done.stdout


def draw_terminal(command: str, printed: str) -> str:
    """Return a terminal with a command and what it printed as SVG, which loads no font."""
    console = Console(record=True, width=int(WIDTH), file=io.StringIO())
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(printed.rstrip()))
    code_format = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="", unique_id="terminal", code_format=code_format)


def photograph(page: Path, picture: Path) -> None:
    """Take a picture of a page in Chromium."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    flags = ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking")
    for flag in (*flags, "hide-scrollbars", "window-size=900,900"):
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver") or "")
    browser = webdriver.Chrome(options=options, service=service)
    try:
        browser.get(page.as_uri())
        browser.save_screenshot(str(picture))
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
