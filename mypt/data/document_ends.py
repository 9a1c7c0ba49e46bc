"""The token between documents, and the ids of their texts, which never hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from mypt.format.documents.special_tokens import END_OF_TEXT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mypt.plugins.contracts import Tokenizer

_CUT = 1  # where a text is cut that spells the token, so that it is none


@frozen
class DocumentEncoder:
    """Encodes the texts of documents.

    Attributes:
        tokenizer: The tokenizer.
        end_id: The id of its `<|endoftext|>`, which stands between documents; None where it has
            none, and a newline does.
        reads_end: Whether it takes that text for the token.
    """

    tokenizer: Tokenizer
    end_id: int | None
    reads_end: bool

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> DocumentEncoder:
        """Return that of a tokenizer."""
        spelt, end_id = _encode_end(tokenizer), find_end_id(tokenizer)
        return cls(tokenizer, end_id, end_id is not None and end_id in spelt)

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a document, or of a part of it, (N,) uint32.

        A text that spells `<|endoftext|>` is cut within it where the tokenizer would make the token
        of it, so that only the end of a document has its id.

        Raises:
            DataError: The text has a character that the vocabulary lacks.
        """
        if not self.reads_end or END_OF_TEXT not in text:
            return self.tokenizer.encode_array(text)
        first, *others = text.split(END_OF_TEXT)
        head, tail = END_OF_TEXT[:_CUT], END_OF_TEXT[_CUT:]
        parts = [first, *(tail + other for other in others)]
        parts = [*(part + head for part in parts[:-1]), parts[-1]]
        return np.concatenate([self.tokenizer.encode_array(part) for part in parts])


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
