"""The token between documents, and the ids of their texts, which never hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from mypt.chat.special_text import OrdinaryEncoder
from mypt.format.documents.special_tokens import END_OF_TEXT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mypt.plugins.contracts.tokenizer import Tokenizer


@frozen
class DocumentEncoder:
    """Encodes the texts of documents.

    Attributes:
        ordinary: Encodes a text without special tokens.
        end_id: The id of the tokenizer's `<|endoftext|>`, which stands between documents; None
            where it has none, and a newline does.
    """

    ordinary: OrdinaryEncoder
    end_id: int | None

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> DocumentEncoder:
        """Return that of a tokenizer."""
        return cls(OrdinaryEncoder.of(tokenizer), find_end_id(tokenizer))

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        return self.ordinary.tokenizer

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a document, or of a part of it, (N,) uint32.

        None is of a special token, whatever the text spells, so that only the end of a document has
        the id of `<|endoftext|>`.

        Raises:
            DataError: The text has a character that the vocabulary lacks.
        """
        return self.ordinary.encode(text)


def find_end_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of a tokenizer's `<|endoftext|>`; None if that is no token of it.

    It is one if the tokenizer's document lists it, by its text or as what ends a text, or if the
    text alone is encoded to one id.
    """
    state = tokenizer.state()
    listed: int | None = (state.get("special_token_encoder") or {}).get(END_OF_TEXT)
    if listed is not None:
        return listed
    for number in (state.get("special_tokens") or {}).get("eos", ()):
        if tokenizer.decode([number]) == END_OF_TEXT:
            return int(number)
    spelt = _encode_end(tokenizer)
    return spelt[0] if len(spelt) == 1 and tokenizer.decode(spelt) == END_OF_TEXT else None


def _encode_end(tokenizer: Tokenizer) -> list[int]:
    try:
        return tokenizer.encode(END_OF_TEXT)
    except Exception:  # a plugin's vocabulary lacks its characters, or is not here
        return []
