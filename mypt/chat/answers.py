"""Where the answers and the turns of a rendered conversation are.

A template says where its answers are by `{% generation %}`. Of another one the first messages are
rendered, with the prompt for the next one and without it: what comes between is the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from attrs import frozen

from mypt.chat.message import ASSISTANT
from mypt.chat.sandbox.render import PLACE
from mypt.format.errors import DataError, MyptError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.chat.rendering import Rendering

Span = tuple[int, int]


@frozen
class Layout:
    """A rendered conversation, and where its parts are.

    Attributes:
        text: The text, with a character for each special token.
        turns: Where each message is, in characters.
        answers: Where the assistant says something: the number of the message, and the place.
    """

    text: str
    turns: tuple[Span, ...]
    answers: tuple[tuple[int, Span], ...]


def lay_out(rendering: Rendering, stops: str) -> Layout:
    """Return a conversation with its turns and its answers.

    Args:
        rendering: The conversation.
        stops: The characters of the tokens that end a turn or a text.

    Raises:
        DataError: The template does not let them be told.
    """
    text, marked = take_marks(rendering, rendering.text())
    ends = [_find_end(rendering, text, count) for count in range(1, len(rendering.messages))]
    turns = _join_ends([*ends, len(text)])
    return Layout(text, turns, tuple(_find_answers(rendering, text, turns, marked, stops)))


def lay_out_prompt(rendering: Rendering, stops: str) -> Layout:
    """Return a conversation up to where the assistant answers; without turns.

    Answers in it are where `lay_out` finds them, or left out where it cannot.
    """
    text, marked = take_marks(rendering, rendering.text(add_generation_prompt=True))
    if marked:
        return Layout(text, (), tuple((-1, span) for span in marked))
    try:
        found = tuple(_find_by_prompts(rendering, text, stops))
    except MyptError:
        found = ()
    return Layout(text, (), found)


def take_marks(rendering: Rendering, text: str) -> tuple[str, list[Span]]:
    """Return a text without the marks of answers, and the spans of the answers in it."""
    begin, end = rendering.guard.begin, rendering.guard.end
    parts: list[str] = []
    spans: list[Span] = []
    start = size = 0
    for number, piece in enumerate(text.split(begin)):
        for place, part in enumerate(piece.split(end)):
            if place == 0 and number:
                start = size
            elif place == 1:
                spans.append((start, size))
            parts.append(part)
            size += len(part)
    return "".join(parts), spans


def _find_answers(
    rendering: Rendering, text: str, turns: tuple[Span, ...], marked: list[Span], stops: str
) -> Iterator[tuple[int, Span]]:
    if not marked:
        yield from _find_by_prompts(rendering, text, stops)
        return
    numbers = _list_assistant(rendering)
    if len(numbers) == len(marked):
        yield from zip(numbers, marked, strict=True)
        return
    for begin, end in marked:
        held = [n for n in numbers if turns[n][0] <= begin and end <= turns[n][1]]
        if not held:
            _refuse("writes an answer that belongs to no message of the assistant")
        yield held[0], (begin, end)


def _find_by_prompts(rendering: Rendering, text: str, stops: str) -> Iterator[tuple[int, Span]]:
    for number in _list_assistant(rendering):
        prompt, _ = take_marks(rendering, rendering.text(number, add_generation_prompt=True))
        end = _find_end(rendering, text, number + 1)
        if not text.startswith(prompt):
            _refuse("writes another text before an answer than it prompts the model with")
        if end is None or end < len(prompt):
            _refuse("writes a message in another way when others follow it")
        last = max((text.rfind(stop, len(prompt), end) for stop in stops), default=-1)
        yield number, (len(prompt), end if last < 0 else last + 1)


def _find_end(rendering: Rendering, text: str, count: int) -> int | None:
    """Return where the first messages end in the text of all; None if that cannot be told.

    What is written after the last message alone, such as the end of a text, is no part of it.
    """
    try:
        first, _ = take_marks(rendering, rendering.text(count))
    except MyptError:  # a system message alone, for some templates
        return None
    if text.startswith(first):
        return len(first)
    pairs = enumerate(zip(first, text, strict=False))
    end = next((place for place, (one, other) in pairs if one != other), len(text))
    rest = first[end:].strip()
    return end if all(char in rendering.guard.special_chars for char in rest) else None


def _join_ends(ends: list[int | None]) -> tuple[Span, ...]:
    spans: list[Span] = []
    start = 0
    for end in ends:
        stop = start if end is None else max(start, end)
        spans.append((start, stop))
        start = stop
    return tuple(spans)


def _list_assistant(rendering: Rendering) -> list[int]:
    messages = enumerate(rendering.messages)
    return [number for number, message in messages if message["role"] == ASSISTANT]


def _refuse(what: str) -> NoReturn:
    fix = "put {% generation %} and {% endgeneration %} around what the assistant says in it"
    what = f"cannot be trained with: it {what}"
    raise DataError(Problem(*PLACE, what, fix, kind="chat.template"))
