"""Texts that may spell special tokens, and must not become them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from mypt.format.documents.special_tokens import END_OF_TEXT, list_places
from mypt.format.errors import DataError, Problem
from mypt.format.readers.shared.vocabulary import BPE_PACKAGE
from mypt.plugins.contracts.tokenizer import GuardedTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from mypt.plugins.contracts.tokenizer import Tokenizer

# What stands for what a vocabulary lacks, which every text may hold.
_UNKNOWN = "unk"


def encode_ordinary(tokenizer: Tokenizer, text: str) -> NDArray[np.uint32]:
    """Return the ids of a text, (N,) uint32, none of which is a special token's.

    For several texts, `OrdinaryEncoder.of(tokenizer).encode` looks at the tokenizer once.

    Raises:
        DataError: The text has a character that the vocabulary lacks, or the tokenizer makes a
            special token of what does not spell it.
    """
    return OrdinaryEncoder.of(tokenizer).encode(text)


def encode_special(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode a text in which what spells a special token is one.

    That is what the tokenizer itself does, and its special tokens that it does not read, such as
    `<|endoftext|>` of GPT-2.

    Raises:
        DataError: The text has a character that the vocabulary lacks.
    """
    found = find_special_texts(tokenizer).items()
    unread = {name: n for name, n in found if _try_encoding(tokenizer.encode_array, name) != [n]}
    if not any(name in text for name in unread):
        return tokenizer.encode(text)
    spelt = "|".join(map(re.escape, sorted(unread, key=len, reverse=True)))
    ids: list[int] = []
    for part in filter(None, re.split(f"({spelt})", text)):
        ids += [unread[part]] if part in unread else tokenizer.encode(part)
    return ids


def find_special_texts(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the ids of a tokenizer's special tokens by their text.

    These are the ones beyond its own vocabulary, those with a role, those that a document of
    Hugging Face's calls special, and `<|endoftext|>`.
    """
    state = tokenizer.state()
    special: dict[str, int] = dict(state.get("special_token_encoder") or {})
    added = list_added_tokens(state)
    special |= {token["content"]: token["id"] for token in added if token.get("special")}
    roles = state.get("special_tokens") or {}
    for place, number in list_places(roles):
        if place[0] != _UNKNOWN:
            special.setdefault(tokenizer.decode([number]), number)
    spelt = _try_encoding(tokenizer.encode_array, END_OF_TEXT)
    if len(spelt) == 1:
        special.setdefault(END_OF_TEXT, spelt[0])
    # One character, such as a newline with a role, is ordinary text as well.
    return {text: number for text, number in special.items() if len(text) > 1}


def list_added_tokens(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the added tokens of a tokenizer that a document of Hugging Face's defines."""
    section = (state.get("plugins") or {}).get(BPE_PACKAGE) or {}
    added: list[dict[str, Any]] = (section.get("tokenizer") or {}).get("added_tokens") or []
    return added


@frozen
class OrdinaryEncoder:
    """Encodes texts without making special tokens of what they spell.

    Attributes:
        tokenizer: The tokenizer.
        special: Ids of the special tokens that it makes of texts, by their text.
    """

    tokenizer: Tokenizer
    special: Mapping[str, int]

    @classmethod
    def of(cls, tokenizer: Tokenizer, special: Mapping[str, int] | None = None) -> OrdinaryEncoder:
        """Return that of a tokenizer.

        Args:
            tokenizer: The tokenizer.
            special: Ids of special tokens by their text; by default those that it says it has.
        """
        found = find_special_texts(tokenizer) if special is None else special
        encode = _choose_encoding(tokenizer)
        read = {text: n for text, n in found.items() if n in _try_encoding(encode, text)}
        return cls(tokenizer, read)

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a text, (N,) uint32.

        A text that spells a special token is cut within it, unless the tokenizer itself can encode
        it as ordinary text.

        Raises:
            DataError: As `encode_ordinary`.
        """
        encode = _choose_encoding(self.tokenizer)
        if not self.special:
            return encode(text)
        parts = [encode(part) for part in self._cut(text)]
        ids = parts[0] if len(parts) == 1 else np.concatenate(parts)
        made = np.isin(ids, list(self.special.values()))
        if made.any():
            name = self.tokenizer.decode([int(ids[made.argmax()])])
            what = f"becomes the special token {name}, although it does not spell it"
            raise DataError(Problem("", "", what, "remove what it is made of", kind="data.special"))
        return ids

    def _cut(self, text: str) -> Iterator[str]:
        """Yield a text in parts that spell no special token: each is cut after one character."""
        start, spelt = 0, "|".join(map(re.escape, self.special))
        for found in re.finditer(f"(?={spelt})", text):
            yield text[start : found.start() + 1]
            start = found.start() + 1
        yield text[start:]


def _choose_encoding(tokenizer: Tokenizer) -> Callable[[str], NDArray[np.uint32]]:
    if isinstance(tokenizer, GuardedTokenizer):
        return tokenizer.encode_ordinary
    return tokenizer.encode_array


def _try_encoding(encode: Callable[[str], NDArray[np.uint32]], text: str) -> list[int]:
    try:
        ids: list[int] = encode(text).tolist()
    except Exception:  # a plugin's vocabulary lacks its characters, or is not here
        return []
    return ids
