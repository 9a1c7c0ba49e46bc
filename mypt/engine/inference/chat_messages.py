"""The messages of a conversation, as an argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mypt.chat.message import USER, Message
from mypt.format.rules.arguments import Rule, sequence_of

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def list_questions(messages: Sequence[Message]) -> list[int]:
    """Return where the user speaks."""
    return [place for place, message in enumerate(messages) if message.role == USER]
