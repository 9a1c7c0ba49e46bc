"""Register the tokenizer with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import Tokenizer, TokenizerFactory, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PACKAGE = "mypt-bpe"
DEFAULT_VOCAB_SIZE = 4096
SECTION = {
    "type": "object",
    "required": ["tokenizer"],
    "properties": {
        "tokenizer": {
            "type": "object",
            "required": ["model"],
            "description": "The full tokenizer.json of Hugging Face's `tokenizers`.",
        }
    },
}
TRAINING = {
    "type": "object",
    "properties": {
        "vocab_size": {
            "type": "integer",
            "minimum": 256,
            "default": DEFAULT_VOCAB_SIZE,
            "description": "Maximum number of tokens; a short text may yield fewer.",
        }
    },
    "additionalProperties": False,
}


@hookimpl
def mypt_tokenizers() -> list[TokenizerFactory]:
    """Offer the tokenizer `bpe`."""
    return [
        TokenizerFactory(
            "bpe",
            build=_build,
            train=_train,
            train_pieces=_train_pieces,
            options=SECTION,
            train_options=TRAINING,
        )
    ]


def _build(state: Mapping[str, Any]) -> Tokenizer:
    from mypt_bpe.tokenizer import BpeTokenizer

    held = state["plugins"][PACKAGE]["tokenizer"]
    return BpeTokenizer(held, state.get("special_token_encoder") or {})


def _train(text: str, options: Mapping[str, Any]) -> Tokenizer:
    return _train_pieces([text], options)


def _train_pieces(pieces: Iterable[str], options: Mapping[str, Any]) -> Tokenizer:
    from mypt_bpe.training import train

    return train(pieces, options.get("vocab_size", DEFAULT_VOCAB_SIZE))
