"""Ids written as numbers, for models that come without a vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


@frozen
class BareIds:
    """Texts such as `12 7 0`; never saved, since a bundle of such a model has no tokenizer.

    Attributes:
        n_vocab: Number of ids.
    """

    n_vocab: int
    token_kind = "ids"

    @property
    def vocab_size(self) -> int:
        """The number of ids."""
        return self.n_vocab

    def encode(self, text: str) -> list[int]:
        """Return the ids that a text lists.

        Raises:
            DataError: It holds something other than ids of the model.
        """
        words = text.split()
        for word in words:
            if not (word.isdecimal() and len(word) < 19 and int(word) < self.n_vocab):
                what = f"holds {word[:40]!r}, but the model has no tokenizer"
                fix = f"write ids from 0 to {self.n_vocab - 1} with spaces between them"
                raise DataError(Problem("", "", what, fix, kind="data.text"))
        return [int(word) for word in words]

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Return the same as an array, (N,) uint32."""
        return np.array(self.encode(text), np.uint32)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the ids as a text that continues another one: each has a space before it."""
        return "".join(f" {number}" for number in ids)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the same as bytes."""
        return self.decode(ids).encode()

    def state(self) -> dict[str, Any]:
        """Return what would be saved."""
        return {"token_kind": self.token_kind}
