"""Adapt a tokenizer of Hugging Face's `tokenizers` to mypt's protocol."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers

from mypt.plugins import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

PACKAGE = "mypt-bpe"
_MISSING = "\ufffd".encode()
_EDGE = re.compile(r"(?<=\S)(?=\s)")
_CHUNK = 1 << 16  # characters per chunk; several chunks are encoded at once, in threads
_CHUNKS = 64
_BYTE = re.compile("<0x([0-9A-F]{2})>")


class BpeTokenizer:
    """A tokenizer defined by a `tokenizer.json`, which is kept unchanged.

    Special tokens in a text are recognized; `encode` adds none around it. Those that a model has
    beyond the vocabulary are added to it, where their ids follow one another.

    Attributes:
        n_vocab: Number of ids.
        vocab_size: The vocab_size of a new model that uses it.
    """

    token_kind = "bpe"

    def __init__(self, held: Mapping[str, Any], special: Mapping[str, int] | None = None) -> None:
        """Load the content of a `tokenizer.json`.

        Args:
            held: The content.
            special: Ids of special tokens beyond it, by their text.

        Raises:
            FormatError: It is not a tokenizer that this version of `tokenizers` can read.
        """
        self._document = dict(held)
        try:
            self._inner = tokenizers.Tokenizer.from_str(json.dumps(self._document))
        except Exception as error:  # the library raises nothing more specific
            where = f"/plugins/{PACKAGE}/tokenizer"
            what = f"is not a tokenizer that this version of tokenizers can read ({error})"
            problem = Problem("tokenizer.json", where, what, "restore the file")
            raise FormatError(problem) from error
        self._inner.no_truncation()
        self._inner.no_padding()
        self._special = self._add(special or {})
        self.n_vocab = 1 + max(self._inner.get_vocab().values(), default=-1)
        self.vocab_size = self.n_vocab

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`."""
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32; equal to `encode`."""
        return self._encode(self._inner, text)

    def encode_ordinary(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32, without any special token."""
        return self._encode(self._without_special, text)

    def cut(self, text: str, start: int) -> int | None:
        """Return the first position at or after `start` where the text may be cut in two.

        Whitespace after other text begins a new word by GPT-2's rule. For other tokenizers no
        position is known.
        """
        if not self._is_byte_level:
            return None
        found = _EDGE.search(text, start)
        return None if found is None else found.end()

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`, a whole text; ids without text become U+FFFD."""
        numbers = [int(number) for number in ids]
        if self._is_decoded_as_bytes or not self._bytes_of_id.keys() >= set(numbers):
            text = self.decode_bytes(numbers).decode("utf-8", "replace")
            return text.removeprefix(self._joiner)
        return str(self._inner.decode(numbers, skip_special_tokens=False))

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the UTF-8 bytes that `ids` add to a text before them.

        They may end in the middle of a character.
        """
        return b"".join([self._bytes_of_id.get(number, _MISSING) for number in map(int, ids)])

    def state(self) -> dict[str, Any]:
        """Return the fields of `tokenizer.json` from which `build` makes an equal tokenizer."""
        section = {PACKAGE: {"tokenizer": self._document}}
        added = {"special_token_encoder": dict(self._special)} if self._special else {}
        return {"token_kind": self.token_kind, "plugins": section, **added}

    def _add(self, special: Mapping[str, int]) -> Mapping[str, int]:
        """Add special tokens to the library's tokenizer, which numbers them itself.

        Returns:
            Those that got their ids: all of them, or none, where the ids have gaps. mypt then looks
            for them in texts itself.
        """
        used = {*self._inner.get_vocab().values()}
        following = [*range(len(used), len(used) + len(special))]
        ordered = sorted(special, key=lambda text: special[text])
        if {*following} & used or [special[text] for text in ordered] != following:
            return {}
        texts = [tokenizers.AddedToken(text, normalized=False, special=True) for text in ordered]
        self._inner.add_special_tokens(texts)
        return special

    def _encode(self, inner: tokenizers.Tokenizer, text: str) -> NDArray[np.uint32]:
        chunks = [*self._split_chunks(replace_surrogates(text))]
        parts = [np.empty(0, np.uint32)]
        for start in range(0, len(chunks), _CHUNKS):
            encoded = inner.encode_batch_fast(
                chunks[start : start + _CHUNKS], add_special_tokens=False
            )
            parts += [np.array(found.ids, np.uint32) for found in encoded]
        return np.concatenate(parts)

    @cached_property
    def _without_special(self) -> tokenizers.Tokenizer:
        """The same tokenizer, to which special tokens are ordinary text."""
        plain = tokenizers.Tokenizer.from_str(self._inner.to_str())
        plain.encode_special_tokens = True
        return plain

    def _split_chunks(self, text: str) -> Iterator[str]:
        start = 0
        while start < len(text):
            end = self.cut(text, start + _CHUNK) or len(text)
            yield text[start:end]
            start = end

    @cached_property
    def _is_byte_level(self) -> bool:
        """Whether it splits a text into words as GPT-2 does, and no token spans words."""
        pieces = self._document.get("pre_tokenizer") or {}
        return (
            pieces.get("type") == "ByteLevel"
            and pieces.get("use_regex", True)
            and not pieces.get("add_prefix_space")
            and not self._document.get("normalizer")
            and not any(map(_may_span_words, self._document.get("added_tokens") or ()))
            and not any(map(_has_space, self._special))
        )

    @cached_property
    def _decoders(self) -> set[str]:
        """The types of the decoders that make a text of tokens, one after another."""
        decoder = self._document.get("decoder") or {}
        return {step.get("type") for step in decoder.get("decoders", [decoder])}

    @property
    def _is_decoded_as_bytes(self) -> bool:
        """Whether the characters of a token stand for bytes.

        The library decodes those of an added token so too, which they are not.
        """
        return "ByteLevel" in self._decoders

    @cached_property
    def _joiner(self) -> str:
        """The separator between tokens: a tokenizer without a decoder is a list of words."""
        return "" if self._document.get("decoder") else " "

    @cached_property
    def _bytes_of_id(self) -> dict[int, bytes]:
        added = {token["id"] for token in self._document.get("added_tokens") or []}
        added |= {*self._special.values()}
        made = {}
        for word, number in self._inner.get_vocab().items():
            if self._is_decoded_as_bytes:
                made[number] = word.encode() if number in added else _to_bytes(word)
            elif "ByteFallback" in self._decoders and (found := _BYTE.fullmatch(word)):
                made[number] = bytes.fromhex(found[1])
            else:
                made[number] = self._text_after_another(number).encode()
        return made

    def _text_after_another(self, number: int) -> str:
        """Return what a token adds to the text of a preceding token, including whitespace."""
        before = self._inner.decode([number], skip_special_tokens=False)
        both = self._inner.decode([number, number], skip_special_tokens=False)
        return both[len(before) :]


def _has_space(text: str) -> bool:
    return any(char.isspace() for char in text)


def _may_span_words(token: Mapping[str, Any]) -> bool:
    """Return whether an added token may take white space, or depend on what is beside it."""
    is_wide = any(token.get(name) for name in ("lstrip", "rstrip", "single_word"))
    return is_wide or _has_space(token["content"])


def replace_surrogates(text: str) -> str:
    """Return a text with unpaired surrogates replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _map_chars_to_bytes() -> dict[str, int]:
    """Return the byte that each character of a byte-level vocabulary represents.

    Source: `bytes_to_unicode` of OpenAI's GPT-2 `encoder.py`.
    """
    printable = [*range(ord("!"), 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    shown = {chr(byte): byte for byte in printable}
    return shown | {chr(0x100 + place): byte for place, byte in enumerate(others)}


_BYTE_OF_CHAR = _map_chars_to_bytes()


def _to_bytes(word: str) -> bytes:
    """Return the bytes of a word of a byte-level vocabulary; one that is not spelt so is text."""
    if all(char in _BYTE_OF_CHAR for char in word):
        return bytes(_BYTE_OF_CHAR[char] for char in word)
    return word.encode()
