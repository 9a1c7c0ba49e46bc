"""The messages of a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


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
