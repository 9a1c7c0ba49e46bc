"""The ids of a rendered conversation, piece by piece."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypt.chat.special_text import OrdinaryEncoder


@frozen
class Pieces:
    """Encodes a rendered text in its pieces: special tokens, and the texts between them.

    Attributes:
        encoder: Encodes the texts between special tokens.
        special: Ids of the special tokens, by their text.
        text_of: Texts of the special tokens, by their character.
    """

    encoder: OrdinaryEncoder
    special: Mapping[str, int]
    text_of: Mapping[str, str]

    def encode(self, text: str, cuts: Iterable[int]) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids of a text, and where its pieces begin in the text and in the ids.

        Args:
            text: The text, with a character for each special token.
            cuts: Where it is cut as well, so that an id never reaches over such a place.
        """
        special = [place for place, char in enumerate(text) if char in self.text_of]
        bounds = sorted({0, len(text), *cuts, *special, *(place + 1 for place in special)})
        ids: list[int] = []
        places = [(0, 0)]
        before = ""
        for begin, end in pairwise(bounds):
            piece = text[begin:end]
            ids += self._encode_piece(before, piece)
            places.append((end, len(ids)))
            before = piece
        return ids, places

    def _encode_piece(self, before: str, piece: str) -> list[int]:
        """Return the ids of a piece as they are after the one before it, if they begin with it.

        So a tokenizer that begins a text with a space, or swallows one after a token, does here
        what it does with the whole text.
        """
        if piece in self.text_of:
            return [self.special[self.text_of[piece]]]
        if before in self.text_of:
            held = [self.special[self.text_of[before]]]
            is_plain = not any(text in piece for text in self.special)
            both = self.encoder.tokenizer.encode(self.text_of[before] + piece) if is_plain else []
        elif before:
            held, both = self._encode_ordinary(before), self._encode_ordinary(before + piece)
        else:
            held, both = [], []
        if held and both[: len(held)] == held:
            return both[len(held) :]
        return self._encode_ordinary(piece)

    def _encode_ordinary(self, text: str) -> list[int]:
        ids: list[int] = self.encoder.encode(text).tolist()
        return ids

    def spell(self, text: str) -> str:
        """Return a text with the special tokens as they are spelt."""
        return text.translate({ord(char): spelt for char, spelt in self.text_of.items()})
