"""Tokens beyond the vocabulary of a tokenizer, and what a model's document says of its texts."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from mypt.chat.special_text import OrdinaryEncoder, find_special_texts
from mypt.format.documents.tokenizer import TEXT_FIELDS
from mypt.format.errors import FormatError, Problem
from mypt.plugins.contracts.tokenizer import DivisibleTokenizer, ExportableTokenizer
from mypt.tokenizers.hugging_face_files import add_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

_NO_TEXT = "\ufffd".encode()
_ENCODER, _ROLES = "special_token_encoder", "special_tokens"


def build_from_state(state: Mapping[str, Any], plugins: Plugins) -> Tokenizer:
    """Build a tokenizer from the fields of `tokenizer.json`, with all that they say.

    Args:
        state: The fields.
        plugins: Where its kind is looked up.

    Raises:
        PluginError: No plugin offers it, or more than one does.
        FormatError: The fields do not make a tokenizer.
    """
    inner = plugins.tokenizer(state["token_kind"]).build(state)
    return with_added_tokens(inner, state)


def with_added_tokens(inner: Tokenizer, state: Mapping[str, Any]) -> Tokenizer:
    """Return a tokenizer with what a document says beyond what the tokenizer itself says.

    Args:
        inner: The tokenizer, which may have read all of it.
        state: Fields of `tokenizer.json`.

    Raises:
        FormatError: A special token has the id of another token.
    """
    known = inner.state()
    own = known.get(_ENCODER) or {}
    special = {t: number for t, number in (state.get(_ENCODER) or {}).items() if t not in own}
    told, before = _list_rules(state), _list_rules(known)
    rules = {name: value for name, value in told.items() if value != before.get(name)}
    if not special and not rules:
        return inner
    _check_ids(inner, special)
    is_exportable = isinstance(inner, ExportableTokenizer)
    cls = ExportableAddedTokens if is_exportable else AddedTokens
    return cls(inner, special, rules)


def _check_ids(inner: Tokenizer, special: Mapping[str, int]) -> None:
    texts = {number: text for text, number in special.items()}
    for text, number in special.items():
        is_taken = number < inner.n_vocab and inner.decode_bytes([number]) != _NO_TEXT
        if is_taken or texts[number] != text:
            what = f"gives {text!r} the id {number}, which is already taken"
            raise FormatError(Problem("the tokenizer", f"/{_ENCODER}", what, "restore the file"))


def _list_rules(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a document says of texts, without roles that no token has."""
    rules = {name: state[name] for name in TEXT_FIELDS if state.get(name)}
    if _ROLES in rules:
        roles = {role: n for role, n in rules.pop(_ROLES).items() if n not in (None, [], ())}
        rules |= {_ROLES: roles} if roles else {}
    return rules


@frozen(eq=False)
class AddedTokens:
    """A tokenizer with special tokens beyond its own.

    In a text the special tokens are found first, of several that begin at a place the longest, and
    the tokenizer encodes what lies between them.

    Attributes:
        inner: The tokenizer.
        special: Ids of the special tokens, by their text.
        rules: What else the model's document says, as `special_tokens` and `chat_template`.
    """

    inner: Tokenizer
    special: Mapping[str, int]
    rules: Mapping[str, Any] = field(factory=dict)

    @property
    def token_kind(self) -> str:
        """Name of the kind of the tokenizer within."""
        return self.inner.token_kind

    @property
    def n_vocab(self) -> int:
        """Number of ids, gaps before and between special tokens included."""
        return max([self.inner.n_vocab, *(number + 1 for number in self.special.values())])

    @property
    def vocab_size(self) -> int:
        """Number of embedding rows of a new model with this tokenizer."""
        return max(self.inner.vocab_size, self.n_vocab)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; the longest special token that fits is taken first."""
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32; equal to `encode`."""
        if self._pattern is None:
            return self.inner.encode_array(text)
        parts = [np.empty(0, np.uint32)]
        for number, stretch in enumerate(self._pattern.split(text)):
            if number % 2:
                parts.append(np.array([self.special[stretch]], np.uint32))
            elif stretch:
                parts.append(self.inner.encode_array(stretch))
        return np.concatenate(parts)

    def encode_ordinary(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32, without any special token."""
        return self._ordinary.encode(text)

    def cut(self, text: str, start: int) -> int | None:
        """Return the first index at or after `start` where the text may be cut in two.

        That is where the tokenizer allows it, and not within a special token or where one could
        begin that extends past the text.
        """
        if not isinstance(self.inner, DivisibleTokenizer):
            return None
        certain = len(text) + 1 - max(map(len, self.special), default=1)
        for begin, end in self._find_stretches(text):
            known = text[begin : min(end, certain)]
            if begin + len(known) >= start:
                place = self.inner.cut(known, max(start - begin, 0))
                if place is not None:
                    return begin + place
        return None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`."""
        numbers = [int(number) for number in ids]
        if self._bytes_of_id.keys().isdisjoint(numbers):
            return self.inner.decode(numbers)
        return self.decode_bytes(numbers).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the UTF-8 bytes that `ids` add to a text before them."""
        parts: list[bytes] = []
        held: list[int] = []
        for number in map(int, ids):
            if number in self._bytes_of_id:
                parts += [self.inner.decode_bytes(held), self._bytes_of_id[number]]
                held = []
            else:
                held.append(number)
        return b"".join([*parts, self.inner.decode_bytes(held)])

    def state(self) -> dict[str, Any]:
        """Return the fields of `tokenizer.json` that `build_from_state` makes it of."""
        own = self.inner.state()
        return {**own, _ENCODER: {**(own.get(_ENCODER) or {}), **self.special}, **self.rules}

    def _find_stretches(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the begin and end of each part of a text between special tokens."""
        begin = 0
        for found in self._pattern.finditer(text) if self._pattern else ():
            yield begin, found.start()
            begin = found.end()
        yield begin, len(text)

    @cached_property
    def _ordinary(self) -> OrdinaryEncoder:
        return OrdinaryEncoder.of(self.inner, find_special_texts(self))

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        tokens = sorted(self.special, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, tokens))})") if tokens else None

    @cached_property
    def _bytes_of_id(self) -> dict[int, bytes]:
        return {number: text.encode("utf-8", "replace") for text, number in self.special.items()}


@frozen(eq=False)
class ExportableAddedTokens(AddedTokens):
    """The same of a tokenizer that Hugging Face's `tokenizers` can do the work of."""

    def to_hugging_face(self) -> dict[str, dict[str, Any]]:
        """Return the documents of an equal tokenizer; see `mypt.plugins.ExportableTokenizer`."""
        assert isinstance(self.inner, ExportableTokenizer)  # noqa: S101 - for type checkers
        documents = self.inner.to_hugging_face()
        made = add_tokens(documents["tokenizer"], self.special)
        return {**{name: dict(held) for name, held in documents.items()}, "tokenizer": made}
