"""The command line as it was typed."""

from __future__ import annotations

import click

_WORDS = "mypt.words"


def keep_words(ctx: click.Context, words: list[str]) -> None:
    """Keep the words after `mypt`, if this is the context of the whole command line."""
    if ctx.parent is None:
        ctx.meta[_WORDS] = ("mypt", *words)


def typed_command() -> tuple[str, ...] | None:
    """Return the words of the command line that runs; None where a command is called otherwise."""
    words: tuple[str, ...] | None = click.get_current_context().meta.get(_WORDS)
    return words
