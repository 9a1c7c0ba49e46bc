"""The messages of a conversation, and the turns that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"


@frozen(kw_only=True)
class Message:
    """What one side says.

    Attributes:
        role: Who says it, such as `user`.
        content: What it says.
        weight: How much the loss counts it, from 0 to 1; None for 1 of the assistant's and 0 of
            all others.
        fields: What else a template may read, by name, such as `tool_calls`.
    """

    role: str
    content: str
    weight: float | None = None
    fields: Mapping[str, Any] = field(factory=dict)


def count_leading(roles: Sequence[str | None]) -> int:
    """Return how many messages are what the system says at the beginning."""
    return next((place for place, role in enumerate(roles) if role != SYSTEM), len(roles))


def list_turns(roles: Sequence[str | None]) -> list[int]:
    """Return where the turns of a conversation begin.

    The first begins after what the system says, each other one with a question, which may be
    several messages.

    Args:
        roles: Who says each message; None for nobody.
    """
    lead = count_leading(roles)
    asks = (n for n in range(lead + 1, len(roles)) if roles[n] == USER != roles[n - 1])
    return [lead, *asks]
