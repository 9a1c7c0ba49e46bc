"""`mypt generate --score_lines`: JSON lines in, and a JSON line with the scores of each out."""

from __future__ import annotations

import codecs
import math
import sys
from collections import deque
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.cli.generation.prompts import name_source
from mypt.cli.terminal import echo_json
from mypt.engine.inference.continuation_scoring import encode_pair, encode_whole, score_pairs
from mypt.format.errors import DataError, FormatError, MyptError, Problem
from mypt.format.schema import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.api.gpt import GPT
    from mypt.engine.inference.continuation_scoring import ContinuationScore, EncodedPair

_WANTED = (
    'an object with "prompt" and "continuation", a text or a list of texts to choose from, or '
    'with "text"'
)


@frozen
class _Place:
    """Where a text to score stands.

    Attributes:
        line: Number of its line, from 1.
        is_choice: Whether it is one of a list.
    """

    line: int
    is_choice: bool


def print_scored_lines(
    model: GPT, file: str, batch_size: int, *, details: bool, reads: bool
) -> None:
    """Print a JSON object for each line of a file, in order, while it is read.

    Args:
        model: The model.
        file: The file; "-" is the standard input.
        batch_size: Texts to score at once.
        details: Whether to include each token and its probability.
        reads: Whether what spells a special token becomes one.

    Raises:
        DataError: The file cannot be read, or a line is not what it must be.
    """
    lines = _Lines(model, file, reads=reads)
    scores = score_pairs(model, lines, batch_size)
    numbered = ((lines.places.popleft(), score) for score in scores)
    for place, group in groupby(numbered, key=lambda found: found[0]):
        described = [_describe(model, score, details=details) for _, score in group]
        if place.is_choice:
            best = _find_best(described)
            answer = {"line": place.line, "best": best, "continuations": described}
        else:
            answer = {"line": place.line, **described[0]}
        echo_json(answer, indent=None)
    if lines.error is not None:
        raise lines.error


class _Lines:
    """What a file asks to score, up to the first line that is wrong.

    Attributes:
        places: Where what has been read stands; it is read ahead, and its scores come in order.
        error: What is wrong with the line after the last; None where nothing is.
    """

    def __init__(self, model: GPT, file: str, *, reads: bool) -> None:
        self._model, self._file, self._reads = model, file, reads
        self.places: deque[_Place] = deque()
        self.error: DataError | None = None

    def __iter__(self) -> Iterator[EncodedPair]:
        try:
            for number, line in enumerate(_read_lines(self._file), start=1):
                if not line.strip():
                    continue
                with _locate(name_source(self._file), number):
                    found = list(_encode_line(self._model, _parse(line), reads=self._reads))
                for is_choice, pair in found:
                    self.places.append(_Place(number, is_choice))
                    yield pair
        except DataError as error:
            self.error = error


def _read_lines(file: str) -> Iterator[bytes]:
    if file == "-":
        yield from _drop_mark(sys.stdin.buffer)
        return
    try:
        with Path(file).open("rb") as stream:
            yield from _drop_mark(stream)
    except OSError as error:
        what, fix = f"cannot be read: {error.strerror}", "check the path"
        raise DataError(Problem(file, "", what, fix)) from error


def _drop_mark(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines, of which the first may begin with a byte order mark."""
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix(codecs.BOM_UTF8)


def _parse(line: bytes) -> dict[str, Any]:
    try:
        return strict_json.parse(line, "")
    except FormatError as error:
        what = error.problems[0].what.replace(" at line 1,", " at")
        raise DataError(Problem("", "", what, f"write {_WANTED}")) from None


def _encode_line(
    model: GPT, fields: Mapping[str, Any], *, reads: bool
) -> Iterator[tuple[bool, EncodedPair]]:
    """Yield what is to be scored of a line, and whether it is one of a list."""
    text, prompt, given = (fields.get(name) for name in ("text", "prompt", "continuation"))
    if isinstance(text, str) and prompt is None and given is None:
        yield False, encode_whole(model, text, read_special_tokens=reads)
        return
    choices = given if isinstance(given, list) and given else [given]
    if text is not None or not all(isinstance(one, str) for one in (prompt, *choices)):
        raise DataError(Problem("", "", "is not what can be scored", f"write {_WANTED}"))
    for choice in choices:
        pair = encode_pair(model, str(prompt), str(choice), read_special_tokens=reads)
        yield isinstance(given, list), pair


@contextmanager
def _locate(source: str, line: int) -> Iterator[None]:
    try:
        yield
    except MyptError as error:
        problems = [_add_place(problem, source, line) for problem in error.problems]
        raise DataError(*problems) from error


def _add_place(problem: Problem, source: str, line: int) -> Problem:
    """Return a problem of a text with its line; `line 1, column 2` in it is column 2 there."""
    within = problem.where.removeprefix("line 1, ")
    where = f"line {line}, {within}" if within else f"line {line}"
    return evolve(problem, file=source, where=where)


def _describe(model: GPT, score: ContinuationScore, *, details: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "log_likelihood": _finite_or_none(score.log_likelihood),
        "tokens": len(score.ids),
        "bits_per_byte": _finite_or_none(score.bits_per_byte),
        "is_greedy": score.is_greedy,
    }
    if details:
        tokenizer = model.tokenizer_or_ids()
        texts = [tokenizer.decode_bytes([n]).decode("utf-8", "replace") for n in score.ids]
        probabilities = [math.exp(one) for one in score.log_probs]
        described |= {"ids": [*score.ids], "texts": texts, "probabilities": probabilities}
    return described


def _find_best(described: list[dict[str, Any]]) -> int:
    """Return which of a list is the likeliest; the first of several."""
    known = [one["log_likelihood"] for one in described]
    return max(range(len(known)), key=lambda n: -math.inf if known[n] is None else known[n])


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
