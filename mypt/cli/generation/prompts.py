"""Prompts and texts of `mypt generate`, each with its source."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from attrs import evolve, frozen

from mypt.chat.special_text import find_special_texts
from mypt.data.text import decode_text, read_text
from mypt.engine.inference.prompt_ids import encode_given
from mypt.format.errors import DataError, limit_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mypt.format.errors import Problem
    from mypt.plugins.contracts.tokenizer import Tokenizer

STDIN = "stdin"


@frozen
class Prompt:
    """A prompt.

    Attributes:
        text: The text.
        source: The file or the flag it comes from, for messages.
        line: Line of the source on which it begins.
    """

    text: str
    source: str = "--prompt"
    line: int = 1


def read_prompts(
    given: Iterable[str], files: Iterable[str], lists: Iterable[str]
) -> Iterator[Prompt]:
    """Yield the prompts; the line break at the end of a file is not part of one.

    Args:
        given: Prompts from the command line.
        files: Files with one prompt each; "-" is stdin.
        lists: Files with one prompt per line; "-" is stdin.

    Raises:
        DataError: A file cannot be read.
    """
    yield from map(Prompt, given)
    for file in files:
        yield Prompt(read_file(file).removesuffix("\n").removesuffix("\r"), name_source(file))
    for file in lists:
        for line, text in enumerate(read_file(file).removesuffix("\n").split("\n"), start=1):
            yield Prompt(text.removesuffix("\r"), name_source(file), line)


def check_stdin(files: Sequence[str]) -> None:
    """Raise if several files are the standard input, which can be read only once.

    Raises:
        UsageError: More than one is "-".
    """
    if files.count("-") > 1:
        message = "standard input can be read only once; give - for one file only"
        raise click.UsageError(message)


def explain_spelt_tokens(prompts: Iterable[Prompt], tokenizer: Tokenizer) -> Iterator[str]:
    """Yield a line if prompts spell special tokens, which are read as text."""
    special = find_special_texts(tokenizer)
    spelt = {text for prompt in prompts for text in special if text in prompt.text}
    if spelt:
        first = min(spelt, key=lambda text: special[text])
        yield (
            f"note: what spells a special token, such as {first}, is text here; "
            "--read_special_tokens makes it the token"
        )


def check_prompts(
    prompts: Iterable[Prompt], tokenizer: Tokenizer, *, read_special_tokens: bool = False
) -> None:
    """Raise if prompts cannot be encoded.

    Raises:
        DataError: The vocabulary lacks a character of a prompt; each names its file and line.
    """
    problems: list[Problem] = []
    for prompt in prompts:
        try:
            with locate_errors(prompt.source, prompt.line):
                encode_given(tokenizer, prompt.text, read_special_tokens=read_special_tokens)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*limit_problems(problems))


@contextmanager
def locate_errors(source: str, line: int = 1) -> Iterator[None]:
    """Add the file, and the line in it, to errors about a text that begins there."""
    try:
        yield
    except DataError as error:
        problems = [
            evolve(problem, file=source, where=problem.where.replace("line 1,", f"line {line},", 1))
            for problem in error.problems
        ]
        raise DataError(*problems) from error


def read_file(file: str) -> str:
    """Read a text file; "-" is stdin.

    Raises:
        DataError: It is missing, empty or not UTF-8.
    """
    if file == "-":
        return decode_text(sys.stdin.buffer.read(), STDIN)
    return read_text(file)


def name_source(file: str) -> str:
    """Return the name of a file for messages."""
    return STDIN if file == "-" else file
