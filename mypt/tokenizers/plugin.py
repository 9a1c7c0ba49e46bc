"""Registers the tokenizers that come with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import Tokenizer, TokenizerFactory, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@hookimpl
def mypt_tokenizers() -> list[TokenizerFactory]:
    """Return the factories of the character tokenizer and of GPT-2's byte pairs."""
    return [
        TokenizerFactory(
            "char", build=_build_char, train=_train_char, train_pieces=_train_char_on_pieces
        ),
        TokenizerFactory("gpt2", build=_build_gpt2, train=_train_gpt2, train_pieces=_train_gpt2),
    ]


def _build_char(state: Mapping[str, Any]) -> Tokenizer:
    from mypt.tokenizers.char import CharTokenizer

    return CharTokenizer.build(state)


def _train_char(text: str) -> Tokenizer:
    from mypt.tokenizers.char import CharTokenizer

    return CharTokenizer.train(text)


def _train_char_on_pieces(pieces: Iterable[str]) -> Tokenizer:
    from mypt.tokenizers.char import CharTokenizer, find_characters

    return CharTokenizer.train("".join(find_characters(pieces)))


def _build_gpt2(state: Mapping[str, Any]) -> Tokenizer:
    from mypt.tokenizers.gpt2 import Gpt2Tokenizer

    return Gpt2Tokenizer.build(state)


def _train_gpt2(_: Iterable[str]) -> Tokenizer:
    from mypt.tokenizers.gpt2 import Gpt2Tokenizer

    return Gpt2Tokenizer()  # its vocabulary is fixed
