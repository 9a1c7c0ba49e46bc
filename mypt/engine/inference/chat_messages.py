"""The messages of a conversation, and the turns that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mypt.chat.message import Message
from mypt.format.rules.arguments import Rule, sequence_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
_SHOWN = 'messages, such as {"role": "user", "content": "Hello"}'


def make_message(value: Any) -> Message:
    """Return a message, or what a mapping with `role`, `content` and other fields says.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, Mapping):
        fields = dict(value)
        said = {name: fields.pop(name, None) for name in ("role", "content", "weight")}
        value = Message(**said, fields=fields)
    if not isinstance(value, Message):
        raise TypeError
    if not isinstance(value.role, str) or not isinstance(value.content, str):
        raise TypeError
    return value


MESSAGES = sequence_of(Rule(_SHOWN, make_message), f"a list of {_SHOWN}")


def count_leading(messages: Sequence[Message]) -> int:
    """Return 1 if the first message is a system prompt, else 0."""
    return int(bool(messages) and messages[0].role == SYSTEM)


def list_questions(messages: Sequence[Message]) -> list[int]:
    """Return where the user speaks."""
    return [place for place, message in enumerate(messages) if message.role == USER]


def list_turns(messages: Sequence[Message]) -> list[int]:
    """Return where turns begin: the first after a system prompt, each other one by a question."""
    lead = count_leading(messages)
    return [lead, *(place for place in list_questions(messages) if place > lead)]
