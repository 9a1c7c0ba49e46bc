"""The byte-pair encoding of GPT-2, with special tokens beyond it."""

from __future__ import annotations

import re
from binascii import a2b_base64
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from mypt.format.documents.special_tokens import END_OF_TEXT, END_OF_TEXT_ID, find_gpt2_roles
from mypt.format.documents.tokenizer import GPT2_PADDED_VOCAB_SIZE, GPT2_VOCAB_SIZE
from mypt.format.errors import FormatError, Problem
from mypt.tokenizers.hugging_face_files import gpt2_documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from tiktoken import Encoding

# Source: OpenAI's GPT-2 `encoder.py`, in tiktoken's spelling of the same pieces.
_PIECE = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
_WHITE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # what \s matches there
# A piece always ends before white space that follows text, and before the last of several white
# characters that are followed by text. A text that is cut there has the same ids.
_EDGE = re.compile(rf"[^{_WHITE}](?=[{_WHITE}])")
_CUT = re.compile(rf"[^{_WHITE}](?=[{_WHITE}])|[{_WHITE}](?=[{_WHITE}][^{_WHITE}])")
# tiktoken fails on a million spaces before a word, and its lists of ids are large.
_CHUNK = 1 << 18


@frozen
class Gpt2Tokenizer:
    """GPT-2's vocabulary and a checkpoint's own special tokens.

    `<|endoftext|>` in a text is ordinary text, unless it is one of the special tokens.

    Attributes:
        special_token_encoder: Ids of special tokens, by their text.
    """

    special_token_encoder: Mapping[str, int] = field(factory=dict)
    token_kind = "gpt2"

    @classmethod
    def build(cls, state: Mapping[str, Any]) -> Gpt2Tokenizer:
        """Build the tokenizer from the fields of `tokenizer.json`.

        Raises:
            FormatError: Two texts share an id, or an id already has a text in GPT-2's vocabulary.
        """
        special = dict(state.get("special_token_encoder") or {})
        texts = {number: text for text, number in special.items()}
        for text, number in special.items():
            taken = number < GPT2_VOCAB_SIZE and (text, number) != (END_OF_TEXT, END_OF_TEXT_ID)
            if taken or texts[number] != text:
                what = f"gives {text!r} the id {number}, which is already taken"
                fix = "restore the file"
                raise FormatError(Problem("the tokenizer", "/special_token_encoder", what, fix))
        return cls(special)

    @property
    def n_vocab(self) -> int:
        """Number of ids, gaps between special tokens included."""
        return 1 + max([END_OF_TEXT_ID, *self.special_token_encoder.values()])

    @property
    def vocab_size(self) -> int:
        """Number of embedding rows of a new model with this tokenizer."""
        return max(GPT2_PADDED_VOCAB_SIZE, self.n_vocab)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; the longest special token that fits is taken first."""
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32; equal to `encode`."""
        parts = [*self._encode_stretches(text)]
        return np.concatenate(parts) if parts else np.empty(0, np.uint32)

    def encode_ordinary(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32, without any special token."""
        parts = [*_encode_ordinary(text)]
        return np.concatenate(parts) if parts else np.empty(0, np.uint32)

    def cut(self, text: str, start: int) -> int | None:
        """Return the first index at or after `start` where the text may be cut in two.

        White space after other text begins a new piece, whatever follows. Within a special token,
        or where one could begin that extends past the text, there is no such index.
        """
        longest = max(map(len, self.special_token_encoder), default=0)
        tokens = (
            []
            if self._special_pattern is None
            else [m.span() for m in self._special_pattern.finditer(text)]
        )
        for found in _EDGE.finditer(text, max(start - 1, 0), len(text)):
            place = found.end()
            if place > len(text) - longest:
                return None
            if not any(begin < place < end for begin, end in tokens):
                return place
        return None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the UTF-8 bytes of `ids`, which may end inside a character."""
        text_of, missing = self._bytes_of_id, "\ufffd".encode()
        return b"".join([text_of.get(number, missing) for number in map(int, ids)])

    def state(self) -> dict[str, Any]:
        """Return the fields of `tokenizer.json` from which `build` makes an equal tokenizer."""
        return {
            "token_kind": self.token_kind,
            "chars": None,
            "special_token_encoder": dict(self.special_token_encoder),
            "special_tokens": find_gpt2_roles(self.special_token_encoder),
        }

    def to_hugging_face(self) -> dict[str, dict[str, Any]]:
        """Return the documents of an equal tokenizer; see `mypt.plugins.ExportableTokenizer`."""
        return gpt2_documents(_load_ranks(), self.special_token_encoder)

    def _encode_stretches(self, text: str) -> Iterator[NDArray[np.uint32]]:
        """Yield the ids of consecutive stretches of `text`."""
        if self._special_pattern is None:
            yield from _encode_ordinary(text)
            return
        for number, stretch in enumerate(self._special_pattern.split(text)):
            if number % 2:
                yield np.array([self.special_token_encoder[stretch]], np.uint32)
            else:
                yield from _encode_ordinary(stretch)

    @cached_property
    def _special_pattern(self) -> re.Pattern[str] | None:
        tokens = sorted(self.special_token_encoder, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, tokens))})") if tokens else None

    @cached_property
    def _bytes_of_id(self) -> dict[int, bytes]:
        special = self.special_token_encoder.items()
        return _build_bytes_of_base_id() | {
            number: text.encode("utf-8", "replace") for text, number in special
        }


def _encode_ordinary(text: str) -> Iterator[NDArray[np.uint32]]:
    """Encode text without special tokens, some hundred thousand characters at a time.

    tiktoken releases the GIL, so threads can share the work on a long text.
    """
    if len(text) <= _CHUNK:
        yield _encode_chunk(text)
        return
    with ThreadPoolExecutor() as pool:
        yield from pool.map(_encode_chunk, _split_chunks(text))


def _split_chunks(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        cut = _CUT.search(text, start + _CHUNK)
        end = len(text) if cut is None else cut.end()
        yield text[start:end]
        start = end


def _encode_chunk(text: str) -> NDArray[np.uint32]:
    try:
        return _build_encoding().encode_to_numpy(text, disallowed_special=())
    except UnicodeEncodeError:  # half of a surrogate pair, which becomes U+FFFD
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return _build_encoding().encode_to_numpy(whole, disallowed_special=())


@cache
def _load_ranks() -> dict[bytes, int]:
    words = (resources.files("mypt.tokenizers") / "gpt2.tiktoken").read_bytes().split()
    return {
        a2b_base64(token): int(rank) for token, rank in zip(words[::2], words[1::2], strict=True)
    }


@cache
def _build_encoding() -> Encoding:
    from tiktoken import Encoding

    return Encoding("gpt2", pat_str=_PIECE, mergeable_ranks=_load_ranks(), special_tokens={})


@cache
def _build_bytes_of_base_id() -> dict[int, bytes]:
    base = {rank: token for token, rank in _load_ranks().items()}
    return base | {END_OF_TEXT_ID: END_OF_TEXT.encode()}
