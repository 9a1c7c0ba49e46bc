"""The tokens that end an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def stop_tokens(state: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the ids that end an answer: those that end a turn, and those that end a text.

    Args:
        state: The fields of a tokenizer's document, as `Tokenizer.state()` returns them.
    """
    roles = state.get("special_tokens") or {}
    return tuple(dict.fromkeys((*roles.get("turn_end", ()), *roles.get("eos", ()))))
