"""Write `docs/reference/names.md` from the table of what other programs call our settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mypt.format.names.counterparts.commands import COMMANDS
from mypt.format.names.counterparts.counterpart import PROGRAMS, Counterpart
from mypt.format.names.counterparts.settings import SETTINGS
from mypt.format.names.lookup import fill_how

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = """# Names in other programs

What settings and commands of nanoGPT, of Hugging Face (Trainer, configs and `generate`), of
litgpt, of llm.c and nanochat, and of the earlier MyPT are called in mypt. Names that are the same
everywhere, such as `n_layer`, are not listed. Where one of these names is typed as a flag, passed
to Python or written into a preset, mypt names its own, as in this page; the same goes for habits
such as `--lr`.

This page is written by `python docs/write_names.py` from the table that these messages come from.

What works as it does there: `--compile=False` and `--compile false` besides `--no_compile`, for
every flag; dashes for underscores, as in `--learning-rate`; and `--device auto`, the fastest device
there is. The model is an argument, as in `mypt generate dante`, or `--model_name`; `mypt train`
takes the flag alone, since a word there may be meant for a preset, as nanoGPT takes one.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for title, rows in SETTINGS.items():
        parts += [f"## {title}", "", *_table(rows, "--"), ""]
    parts += ["## Commands", "", *_table(COMMANDS, "mypt "), ""]
    return "\n".join(parts)


def _table(rows: Iterable[Counterpart], mark: str) -> list[str]:
    heads = ["mypt", *PROGRAMS.values(), ""]
    lines = [f"| {' | '.join(heads)} |".replace("|  |", "| |"), "|---" * len(heads) + "|"]
    for row in rows:
        theirs = [_list(getattr(row, program).split()) for program in PROGRAMS]
        if any(theirs):
            ours = [row.ours] if mark == "mypt " else row.ours.split()
            how = fill_how(row.how, mark).replace("|", "\\|")
            cells = [_list(f"{mark}{name}" for name in ours) or "-", *theirs, how]
            lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return lines


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    target = Path(__file__).parent / "reference" / "names.md"
    target.write_text(page(), encoding="utf-8")
