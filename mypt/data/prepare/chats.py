"""Read conversations in JSON lines, and render them for a model."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from mypt.data.special_tokens import END_OF_EPISODE
from mypt.format.documents.tokenizer import END_OF_TEXT
from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mypt.plugins.contracts import Tokenizer

ROLES = ("system", "user", "assistant")
_MARKS = {role: (f"<myPT_{role}>", f"</myPT_{role}>") for role in ROLES}
_PLAIN = {role: (f"{role.capitalize()}: ", "\n") for role in ROLES}
_FIX = "correct the line, or remove it"
_SHOWN_CHARACTERS = 20


@frozen
class Span:
    """A stretch of an episode's text, and whether a model learns to write it."""

    text: str
    is_target: bool


@frozen
class Episode:
    """One episode: a line of a file.

    Attributes:
        file: The file.
        line: Line number, from 1.
        fields: The fields of the line.
    """

    file: Path
    line: int
    fields: Mapping[str, Any]

    @property
    def digest(self) -> bytes:
        """8 bytes that are equal for equal conversations, wherever they are."""
        text = json.dumps(self.fields, sort_keys=True)
        return hashlib.sha256(text.encode()).digest()[:8]


@frozen
class Template:
    """How conversations are rendered as text.

    If the tokenizer has MyPT's special tokens, as MyPT did: `<myPT_user>...</myPT_user>` and so
    on, with `<myPT_eot>` at the end. Otherwise as `User: ...`, `Assistant: ...`, with an empty line
    after each, and `<|endoftext|>` at the end if that is a special token.

    Attributes:
        marks: The text before and after a message, by role.
        gap: The text after that, encoded on its own: two newlines at the end of a text would be
            one token of GPT-2, but are two once more follows, as in the prompt of a next turn.
        end: The text that ends an episode; may be empty.
        reserved: Marks that a message must not contain, since they would end it.
    """

    marks: Mapping[str, tuple[str, str]]
    gap: str
    end: str
    reserved: tuple[str, ...] = ()

    @classmethod
    def of(cls, tokenizer: Tokenizer | None) -> Template:
        """Return the template for a tokenizer; None means one without special tokens."""
        special = {} if tokenizer is None else tokenizer.state().get("special_token_encoder") or {}
        marks = [mark for pair in _MARKS.values() for mark in pair]
        if all(mark in special for mark in (*marks, END_OF_EPISODE)):
            return cls(_MARKS, "", END_OF_EPISODE, (*marks, END_OF_EPISODE))
        if END_OF_TEXT in special:
            return cls(_PLAIN, "\n", END_OF_TEXT, (END_OF_TEXT,))
        return cls(_PLAIN, "\n", "")

    def spans(self, episode: Episode) -> Iterator[Span]:
        """Yield the spans of an episode; the assistant's messages and their ends are targets."""
        fields = episode.fields
        if "messages" in fields:
            for message in fields["messages"]:
                before, after = self.marks[message["role"]]
                is_target = message["role"] == "assistant"
                head = before.rstrip(" ")  # a space belongs to the word that follows it
                yield Span(head, is_target=False)
                yield Span(before[len(head) :] + message["content"] + after, is_target)
                yield Span(self.gap, is_target)
        elif "prompt" in fields:
            yield Span(fields["prompt"], is_target=False)
            yield Span(fields["completion"], is_target=True)
        else:
            yield Span(fields["text"], is_target=True)
        if self.end:
            yield Span(self.end, is_target=True)

    def find_problem(self, fields: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a line, or None if it can be rendered."""
        wrong = _find_shape_problem(fields)
        if wrong is not None:
            return wrong
        for text in _list_texts(fields):
            found = next((mark for mark in self.reserved if mark in text), None)
            if found is not None:
                return f"contains {found} in its text, where it would act as the special token"
        return None


def read_chat_lines(files: Sequence[Path], template: Template) -> Iterator[Episode | Problem]:
    """Read the lines of JSONL files; empty lines are skipped.

    A line is `{"messages": [{"role": ..., "content": ...}, ...]}` with the roles system, user and
    assistant, or `{"prompt": ..., "completion": ...}`, or `{"text": ...}`. Other fields are
    ignored.

    Yields:
        For each line, its episode or its problem.
    """
    for file in files:
        try:
            with file.open("rb") as stream:
                for number, data in enumerate(stream, start=1):
                    if data.strip():
                        yield _read_line(file, number, data, template)
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise DataError(Problem(str(file), "", what, "check the path")) from error


def encode_episode(
    episode: Episode, template: Template, tokenizer: Tokenizer
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return the ids of an episode, and a mask that is 1 for targets; (N,) each.

    Raises:
        DataError: The vocabulary lacks one of its characters.
    """
    spans = [span for span in template.spans(episode) if span.text]
    try:
        ids = [tokenizer.encode_array(span.text) for span in spans]
    except DataError as error:
        what = error.problems[0].what
        raise DataError(Problem(str(episode.file), f"line {episode.line}", what, _FIX)) from error
    masks = [np.full(len(i), s.is_target, np.uint8) for i, s in zip(ids, spans, strict=True)]
    return np.concatenate(ids), np.concatenate(masks)


def _read_line(file: Path, number: int, data: bytes, template: Template) -> Episode | Problem:
    try:
        fields = json.loads(data.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError:
        wrong: str | None = "is not UTF-8"
    except (ValueError, RecursionError):
        wrong = "is not JSON"
    else:
        wrong = (
            template.find_problem(fields) if isinstance(fields, dict) else "is not a JSON object"
        )
    if wrong is not None:
        return Problem(str(file), f"line {number}", wrong, _FIX, kind="data.chat")
    known = ("messages",) if "messages" in fields else ("prompt", "completion", "text")
    return Episode(file, number, {name: fields[name] for name in known if name in fields})


def _find_shape_problem(fields: Mapping[str, Any]) -> str | None:
    kinds = [name for name in ("messages", "prompt", "text") if name in fields]
    if len(kinds) != 1:
        return "needs `messages`, or `prompt` and `completion`, or `text`"
    if kinds == ["messages"]:
        return _find_messages_problem(fields["messages"])
    names = ("prompt", "completion") if kinds == ["prompt"] else ("text",)
    for name in names:
        if not isinstance(fields.get(name), str):
            return f"`{name}` is not a string"
    if not fields[names[-1]]:
        return f"`{names[-1]}` is empty, so there is nothing to learn"
    return _find_surrogate_problem(fields)


def _find_messages_problem(messages: Any) -> str | None:
    if not isinstance(messages, list) or not messages:
        return "`messages` is not a list of messages"
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            return f"{place} has no `content` that is a string"
        role = message.get("role")
        if role not in ROLES:
            shown = str(role)[:_SHOWN_CHARACTERS]
            return f"{place} has the role {shown!r}, which is none of {', '.join(ROLES)}"
    if all(message["role"] != "assistant" for message in messages):
        return "has no message by the assistant, so there is nothing to learn"
    return _find_surrogate_problem({"messages": messages})


def _find_surrogate_problem(fields: Mapping[str, Any]) -> str | None:
    try:
        "".join(_list_texts(fields)).encode()
    except UnicodeEncodeError:
        return "contains half a character (an unpaired surrogate)"
    return None


def _list_texts(fields: Mapping[str, Any]) -> list[str]:
    if "messages" in fields:
        return [message["content"] for message in fields["messages"]]
    return [fields[name] for name in ("prompt", "completion", "text") if name in fields]
