"""What `mypt` alone says: where to begin, or how to go on with the models that are here."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mypt.cli.guidance.examples import BEGIN

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHECKPOINTS = Path("checkpoints")  # as mypt.engine.config.folders has it, which is slow to import


def first_steps(description: str, commands: Sequence[tuple[str, str]]) -> str:
    """Return the text: three commands to type now, and a list of all.

    Args:
        description: What mypt is.
        commands: Names and help of all commands.
    """
    formatter = click.HelpFormatter(max_width=100)
    formatter.write_text(description)
    title, steps = _choose_steps()
    with formatter.section(title):
        _write_steps(formatter, steps)
    with formatter.section("Commands"):
        formatter.write_dl(commands)
    formatter.write_paragraph()
    formatter.write_text("What a command takes: mypt COMMAND --help. What all take: mypt --help.")
    return formatter.getvalue().rstrip("\n")


def _write_steps(formatter: click.HelpFormatter, steps: Sequence[tuple[str, str]]) -> None:
    for command, text in steps:
        formatter.write(f"{'':{formatter.current_indent}}{command}\n")
        with formatter.indentation():
            formatter.write_text(text)


def _choose_steps() -> tuple[str, list[tuple[str, str]]]:
    newest = _find_newest()
    if newest is None:
        return "First steps", [
            (
                BEGIN.format(name="first"),
                "Train a model of a text of your own; with `stdlib` instead of input.txt, of "
                "Python's standard library. Ctrl-C saves it; the same command goes on.",
            ),
            ('mypt generate first --prompt "Once"', "Let it write."),
            ("mypt inspect first", "See what it is, and how it was trained."),
        ]
    name = shlex.quote(newest)
    return f"To go on with {newest}", [
        (f'mypt generate {name} --prompt "Once"', "Let it write."),
        (f"mypt train --model_name {name}", "Resume its run, if that was stopped."),
        ("mypt list", "See all models in checkpoints/."),
    ]


def _find_newest() -> str | None:
    """Return the name of the model that was saved last, and is no copy; None where there is none.

    The copies of a model have its name before theirs: dante_gold.
    """
    try:
        folders = [path.parent for path in _CHECKPOINTS.glob("*/config.json")]
        saved = {folder.name: folder.stat().st_mtime for folder in folders}
    except OSError:  # such as a folder that may not be read
        return None
    names = [name for name in saved if not any(name.startswith(f"{other}_") for other in saved)]
    return max(names, key=saved.__getitem__, default=None)
