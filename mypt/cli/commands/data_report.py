"""What `mypt data` prints of a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.cli.terminal import echo
from mypt.format.errors import escape_controls, format_count, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mypt.data.inspection.preview import ShownConversation, Stretch

_INDENT = "    "
_LEARNT, _SPECIAL = "green", "dim"


def print_description(description: Mapping[str, Any]) -> None:
    """Print what `describe_dataset` returned."""
    tokenizer = description["tokenizer"]
    kind = "unknown" if tokenizer is None else tokenizer["token_kind"]
    echo(
        one_line(f"{description['folder']}: {description['kind']}, {description['dtype']}, {kind}")
    )
    for split, tokens in description["tokens"].items():
        there = format_count(len(description["files"][split]), "file")
        line = f"  {split}: {format_count(tokens, 'token')} in {there}"
        if "episodes" in description:
            line += f", {_count_episodes(description, split)}"
            least = description["least_block_size"][split]
            line += f", targets within the last {least} tokens" if least > 1 else ""
        echo(line)
    if "conversations" in description:
        recorded = (description["metadata"] or {}).get("conversations") or {}
        for line in _list_statistics(description["conversations"], recorded):
            echo(f"  {line}")


def print_part(folder: str) -> None:
    """Print what a complete part of a data set holds."""
    from mypt.data.prepare.part import PartRecord

    record = PartRecord.read(Path(folder))
    if record is not None:
        tokens = format_count(sum(file.tokens or 0 for file in record.files), "token")
        there = format_count(len(record.files), "file")
        echo(one_line(f"{folder}: part {record.part}, {tokens} in {there}"))


def print_conversations(shown: Sequence[ShownConversation]) -> None:
    """Print conversations, with what is learnt in colour on a terminal, else in brackets."""
    is_coloured = is_terminal()
    special = {s.text for one in shown for s in one.stretches if s.is_special}
    for one in shown:
        mark = "" if is_coloured else "; [[learnt]]"
        named = f"{one.split} {one.number + 1:,}" + (f", {one.answer}" if one.answer else "")
        echo(f"\n{named}: {format_count(one.tokens, 'token')}{mark}")
        stretches = [evolve(s, text=_escape_text(s, special)) for s in one.stretches]
        (_print_coloured if is_coloured else _print_bracketed)(stretches)


def _count_episodes(description: Mapping[str, Any], split: str) -> str:
    count: int = description["episodes"][split]
    if description["kind"] == "preferences":
        return format_count(count // 2, "pair")
    return format_count(count, "episode")


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def _escape_text(stretch: Stretch, special: Iterable[str]) -> str:
    """Escape what controls a terminal, and what only spells a special token."""
    text = escape_controls(stretch.text)
    for name in () if stretch.is_special else special:
        text = text.replace(name, f"\\{name}")
    return text


def _list_statistics(counted: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[str]:
    roles = recorded.get("roles") or {}
    if roles:
        named = (
            f"{role['turns']:,} of {name} ({format_count(role['tokens'], 'token')})"
            for name, role in roles.items()
        )
        yield f"turns: {', '.join(named)}"
    tokens, learnt = counted["tokens"], counted["learnt_tokens"]
    yield f"learnt: {learnt:,} of {tokens:,} tokens ({100 * learnt / max(1, tokens):.0f} %)"
    lengths = ", ".join(f"{p} % up to {n:,}" for p, n in counted["lengths"].items() if p != "100")
    yield f"tokens of a conversation: {lengths}, the longest {counted['lengths']['100']:,}"
    yield from _list_shortened(recorded)
    if counted.get("longer"):
        longer = format_count(counted["longer"], "conversation")
        yield (
            f"{longer} of {counted['conversations']:,} longer than block_size + 1 = "
            f"{counted['block_size'] + 1:,} tokens: training keeps their end"
        )


def _list_shortened(recorded: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was left out so that conversations fit into a row."""
    fit = f"to fit block_size {recorded.get('block_size')}"
    if recorded.get("shortened"):
        turns = format_count(recorded["turns_left_out"], "turn")
        there = format_count(recorded["shortened"], "conversation")
        yield f"{fit}: {turns} of {there} left out"
    if recorded.get("cut"):
        yield f"{fit}: the beginning of {format_count(recorded['cut'], 'text')} left out"
    if recorded.get("left_out"):
        there = format_count(recorded["left_out"], "conversation")
        yield f"{fit}: {there} left out, as no answer with its question fits"


def _print_coloured(stretches: Iterable[Stretch]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    text = Text()
    for one in stretches:
        style = _LEARNT if one.weight else ""
        if one.is_special:
            style = f"{style} {_SPECIAL}"
        text.append(_name_weight(one.weight) + one.text, style.strip())
    Console(highlight=False).print(Padding(text, (0, 0, 0, len(_INDENT))))


def _print_bracketed(stretches: Iterable[Stretch]) -> None:
    text, weight = "", 0.0
    for one in stretches:
        if one.weight != weight:
            text += "]]" if weight else ""
            text += f"[[{_name_weight(one.weight)}" if one.weight else ""
            weight = one.weight
        text += one.text
    text += "]]" if weight else ""
    echo(_INDENT + text.replace("\n", f"\n{_INDENT}"))


def _name_weight(weight: float) -> str:
    """Return what stands before a text that is learnt in part."""
    return f"{weight:g}: " if 0 < weight < 1 else ""
