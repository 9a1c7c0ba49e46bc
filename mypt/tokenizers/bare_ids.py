"""Ids written as numbers, for models without a vocabulary, or with one that is not here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from attrs import frozen

from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from mypt.format.errors import MyptError


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


@frozen
class AbsentTokenizer:
    """A tokenizer that is not here, in whose place ids can be used: it refuses texts.

    Attributes:
        n_vocab: Number of ids.
        document: Fields of its `tokenizer.json`.
        refusal: Why it is not here.
    """

    n_vocab: int
    document: Mapping[str, Any]
    refusal: MyptError

    @property
    def token_kind(self) -> str:
        """Name of its kind."""
        kind: str = self.document["token_kind"]
        return kind

    @property
    def vocab_size(self) -> int:
        """The number of ids."""
        return self.n_vocab

    def encode(self, text: str) -> NoReturn:  # noqa: ARG002 - as a Tokenizer has it
        """Raise `refusal`."""
        raise self.refusal

    def encode_array(self, text: str) -> NoReturn:  # noqa: ARG002 - as a Tokenizer has it
        """Raise `refusal`."""
        raise self.refusal

    def decode(self, ids: Iterable[int]) -> str:
        """Return the ids as numbers, as `BareIds` does."""
        return BareIds(self.n_vocab).decode(ids)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the same as bytes."""
        return self.decode(ids).encode()

    def state(self) -> dict[str, Any]:
        """Return the fields of its document, by which ids of the same tokenizer are known."""
        return dict(self.document)
