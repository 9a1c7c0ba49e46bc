"""The tokens that end an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.tokenizer import TokenizerState


def stop_tokens(state: TokenizerState | Mapping[str, Any]) -> tuple[int, ...]:
    """Return the ids that end an answer: those that end a turn, and those that end a text.

    Args:
        state: A tokenizer's document, or its fields as `Tokenizer.state()` returns them.
    """
    if not isinstance(state, dict):
        tokens = state.special_tokens  # type: ignore[union-attr]
        return tuple(dict.fromkeys((*tokens.turn_end, *tokens.eos)))
    roles = state.get("special_tokens") or {}
    return tuple(dict.fromkeys((*roles.get("turn_end", ()), *roles.get("eos", ()))))
