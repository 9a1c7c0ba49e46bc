"""The vocabulary of a tokenizer and its section in `tokenizer.json`; does not import tiktoken."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.plugins import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PACKAGE, TOKEN_KIND = "mypt-nanochat", "nanochat"
BOS = "<|bos|>"
USER_END, ASSISTANT_END = "<|user_end|>", "<|assistant_end|>"
# In the order of their ids, which follow those of the byte pairs.
SPECIAL_TOKENS = (
    *(BOS, "<|user_start|>", USER_END, "<|assistant_start|>", ASSISTANT_END),
    *("<|python_start|>", "<|python_end|>", "<|output_start|>", "<|output_end|>"),
)
# What nanochat makes of a conversation; a system message becomes part of the first user's.
CHAT_TEMPLATE = (
    "{{- '<|bos|>' -}}{%- set ns = namespace(system='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{%- set ns.system = message['content'] + '\n\n' -%}"
    "{%- elif message['role'] == 'user' -%}"
    "{{- '<|user_start|>' + ns.system + message['content'] + '<|user_end|>' -}}"
    "{%- set ns.system = '' -%}"
    "{%- else -%}{{- '<|assistant_start|>' + message['content'] + '<|assistant_end|>' -}}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant_start|>' -}}{%- endif -%}"
)
# How a text is divided before byte pairs are merged, as nanochat's tokenizer has it: GPT-4's rule
# with at most two digits together.
PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)"
    r"|[^\r\n\p{L}\p{N}]?+\p{L}+"
    r"|\p{N}{1,2}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
SECTION = {
    "type": "object",
    "required": ["pattern", "tokens", "special_tokens"],
    "properties": {
        "pattern": {
            "type": "string",
            "minLength": 1,
            "description": "Regular expression of the pieces that byte pairs are merged in.",
        },
        "tokens": {
            "type": "string",
            "description": "Bytes of the ids 0, 1, ..., each in base64, with spaces in between.",
        },
        "special_tokens": {
            "type": "object",
            "propertyNames": {"minLength": 1},
            "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
            "description": "Ids of the special tokens, by their text.",
        },
    },
    "additionalProperties": False,
}


@frozen
class Vocabulary:
    """What an encoding of tiktoken consists of.

    Attributes:
        pattern: Regular expression of the pieces that byte pairs are merged in.
        tokens: The bytes of the ids 0, 1, ..., which are also the order of merges.
        special_tokens: Ids of special tokens by their text.
    """

    pattern: str
    tokens: tuple[bytes, ...]
    special_tokens: Mapping[str, int]

    @property
    def size(self) -> int:
        """Number of ids, gaps between those of special tokens included."""
        return 1 + max([len(self.tokens) - 1, *self.special_tokens.values()])

    def check(self, file: str, at: str = "") -> Vocabulary:
        """Return it if every text can be encoded and every id has one meaning.

        Args:
            file: Name of the file that it is from, for messages.
            at: JSON pointer of it in the file.

        Raises:
            FormatError: It has not.
        """
        special = self.special_tokens
        if len({*self.tokens}) < len(self.tokens):
            raise _make_error(file, f"{at}/tokens", "have the same bytes twice")
        if missing := {bytes([byte]) for byte in range(256)} - {*self.tokens}:
            what = f"lack {len(missing)} of the 256 single bytes, such as {min(missing)!r}"
            raise _make_error(file, f"{at}/tokens", what)
        taken = range(len(self.tokens))
        if len({*taken, *special.values()}) < len(taken) + len(special):
            raise _make_error(file, f"{at}/special_tokens", "have ids that are taken")
        return self

    def to_document(self) -> dict[str, Any]:
        """Return its fields of `tokenizer.json`.

        As in nanochat, a text begins with `<|bos|>`, and ends where that of the next document or
        the end of the assistant's turn would come.
        """
        document: dict[str, Any] = {
            "token_kind": TOKEN_KIND,
            "plugins": {PACKAGE: self.to_section()},
        }
        held = self.special_tokens
        if not held.keys() >= {*SPECIAL_TOKENS}:
            return document
        roles = {
            "bos": [held[BOS]],
            "eos": [held[BOS], held[ASSISTANT_END]],
            "turn_end": [held[USER_END], held[ASSISTANT_END]],
        }
        rules = {"special_tokens": roles, "add_bos": True, "chat_template": CHAT_TEMPLATE}
        return document | rules

    def to_section(self) -> dict[str, Any]:
        """Return its section in `tokenizer.json`."""
        words = [b2a_base64(token, newline=False).decode() for token in self.tokens]
        return {
            "pattern": self.pattern,
            "tokens": " ".join(words),
            "special_tokens": dict(self.special_tokens),
        }

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> Vocabulary:
        """Return the vocabulary of a section that its schema has accepted.

        Raises:
            FormatError: Its tokens are damaged.
        """
        file, at = "tokenizer.json", f"/plugins/{PACKAGE}"
        try:
            tokens = [*_decode_all(section["tokens"].split(" "))]
        except ValueError as error:
            raise _make_error(file, f"{at}/tokens", "are not base64") from error
        made = cls(section["pattern"], tuple(tokens), section["special_tokens"])
        return made.check(file, at)


def _decode_all(words: Iterable[str]) -> Iterable[bytes]:
    return (a2b_base64(word, strict_mode=True) for word in words)


def _make_error(file: str, where: str, what: str) -> FormatError:
    return FormatError(Problem(file, where, what, "restore the file", kind="nanochat.tokenizer"))
