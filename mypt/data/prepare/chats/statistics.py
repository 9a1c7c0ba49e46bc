"""What a preparation counts of its conversations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import define, field

if TYPE_CHECKING:
    from mypt.data.prepare.chats.truncation import FittedChat


@define
class ChatStatistics:
    """What is counted of conversations while they are written.

    Attributes:
        turns: Number of turns, by role; of a text that nobody says its field.
        tokens: Number of their tokens, as the turns.
        shortened: Number of conversations of which turns are left out.
        turns_left_out: Number of these turns.
        cut: Number of texts of which the beginning is left out.
        left_out: Number of conversations of which no answer fits.
    """

    turns: Counter[str] = field(factory=Counter)
    tokens: Counter[str] = field(factory=Counter)
    shortened: int = 0
    turns_left_out: int = 0
    cut: int = 0
    left_out: int = 0

    def add(self, fitted: FittedChat | None) -> None:
        """Count a conversation; None is one that is left out."""
        if fitted is None:
            self.left_out += 1
            return
        self.cut += fitted.is_cut
        self.shortened += fitted.turns_left_out > 0
        self.turns_left_out += fitted.turns_left_out
        for turn, size in zip(fitted.chat.turns, fitted.rendered.sizes, strict=True):
            name = turn.role or turn.pointer.removeprefix("/")
            self.turns[name] += 1
            self.tokens[name] += size

    def to_document(self) -> dict[str, Any]:
        """Return the fields of the metadata."""
        return {
            "roles": {
                name: {"turns": self.turns[name], "tokens": self.tokens[name]}
                for name in sorted(self.turns)
            },
            "shortened": self.shortened,
            "turns_left_out": self.turns_left_out,
            "cut": self.cut,
            "left_out": self.left_out,
        }
