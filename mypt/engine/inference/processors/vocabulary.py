"""The bytes of each token of a vocabulary, as what looks into texts needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import frozen

from mypt.format.documents.special_tokens import list_places
from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.plugins import Tokenizer

K = TypeVar("K")
V = TypeVar("V")


@frozen(eq=False)
class Vocabulary:
    """The tokens of a tokenizer.

    Attributes:
        tokenizer: The tokenizer.
        tokens: The UTF-8 bytes that each id adds to a text before it, (n_vocab,); they may be part
            of a character, or none.
        special: The ids with a role, such as the end of a text; they are no part of a text.
    """

    tokenizer: Tokenizer
    tokens: tuple[bytes, ...]
    special: frozenset[int]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Vocabulary:
        """Decode every token, which takes 0.1 s for the 50257 of GPT-2."""
        tokens = tuple(tokenizer.decode_bytes([number]) for number in range(tokenizer.n_vocab))
        document = tokenizer.state()
        encoder = document.get("special_token_encoder") or {}
        roles = {number for _, number in list_places(document.get("special_tokens") or {})}
        return cls(tokenizer, tokens, frozenset({*encoder.values(), *roles}))


def encode_option(name: str, text: str) -> bytes:
    """Return the UTF-8 bytes of a text that a user gives as an option.

    Args:
        name: Name of the processor.
        text: The text.

    Raises:
        ConfigError: It has half a character, as a terminal of another encoding passes it on.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        what = "contains half a character (an unpaired surrogate), which no text has"
        raise ConfigError(Problem("", name, what, "correct it", kind="sampling")) from error


class KeepLast(Generic[K, V]):
    """Keeps what a function made of its last argument, which the texts of one model share."""

    def __init__(self, make: Callable[[K], V]) -> None:
        """Take the function."""
        self._make = make
        self._kept: tuple[K, V] | None = None

    def of(self, argument: K) -> V:
        """Return what the function makes of that very object."""
        kept = self._kept
        if kept is None or kept[0] is not argument:
            self._kept = kept = argument, self._make(argument)
        return kept[1]
