"""Register the parts, the optimizer, the tokenizer and the reader with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import (
    OptimizerFactory,
    PartFactory,
    ReaderFactory,
    Tokenizer,
    TokenizerFactory,
    hookimpl,
    linear_head,
    token_embedding,
)
from mypt_nanochat.layout import stack_tensors
from mypt_nanochat.optimizer import groups
from mypt_nanochat.tokenizer.vocabulary import (
    PACKAGE,
    SECTION,
    SPECIAL_TOKENS,
    TOKEN_KIND,
    Vocabulary,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import nn
    from torch.optim import Optimizer

    from mypt.plugins import GPTConfig, TrainingConfig

NAME = "nanochat"
DEFAULT_VOCAB_SIZE = 4096
TRAINING = {
    "type": "object",
    "properties": {
        "vocab_size": {
            "type": "integer",
            "minimum": 256 + len(SPECIAL_TOKENS),
            "default": DEFAULT_VOCAB_SIZE,
            "description": "Maximum number of tokens; a short text may yield fewer.",
        }
    },
    "additionalProperties": False,
}


@hookimpl
def mypt_parts() -> list[PartFactory]:
    """Offer the layers `nanochat`, and the embedding and the output layer of that name."""
    return [
        PartFactory("embedding_type", NAME, build=_build_embedding, tensors=token_embedding),
        PartFactory("stack_type", NAME, build=_build_stack, tensors=stack_tensors),
        PartFactory("head_type", NAME, build=_build_head, tensors=linear_head),
    ]


@hookimpl
def mypt_legacy_readers() -> list[ReaderFactory]:
    """Offer the reader of nanochat's checkpoints."""
    from mypt_nanochat.reader.reader import READER

    return [READER]


@hookimpl
def mypt_optimizers() -> list[OptimizerFactory]:
    """Offer nanochat's optimizer `muon_adamw`."""
    return [
        OptimizerFactory(
            groups.NAME,
            build=_build_optimizer,
            state=groups.keep,
            settings=groups.SETTINGS,
            options=groups.OPTIONS,
        )
    ]


@hookimpl
def mypt_tokenizers() -> list[TokenizerFactory]:
    """Offer the tokenizer `nanochat`."""
    return [
        TokenizerFactory(
            TOKEN_KIND,
            build=_build_tokenizer,
            train=_train_tokenizer,
            train_pieces=_train_tokenizer_on_pieces,
            options=SECTION,
            train_options=TRAINING,
        )
    ]


def _build_embedding(config: GPTConfig, make_norm: Callable[[], nn.Module]) -> nn.Module:
    from mypt_nanochat.ends import NanochatEmbedding

    return NanochatEmbedding(config, make_norm)


def _build_stack(config: GPTConfig) -> nn.Module:
    from mypt_nanochat.stack import NanochatStack

    return NanochatStack(config)


def _build_head(config: GPTConfig) -> nn.Module:
    from mypt_nanochat.ends import NanochatHead

    return NanochatHead(config)


def _build_optimizer(parameters: Mapping[str, nn.Parameter], training: TrainingConfig) -> Optimizer:
    from mypt_nanochat.optimizer.muon_adamw import build

    return build(parameters, training)


def _build_tokenizer(state: Mapping[str, Any]) -> Tokenizer:
    from mypt_nanochat.tokenizer.tiktoken_tokenizer import NanochatTokenizer

    return NanochatTokenizer(Vocabulary.from_section(state["plugins"][PACKAGE]))


def _train_tokenizer(text: str, options: Mapping[str, Any]) -> Tokenizer:
    return _train_tokenizer_on_pieces([text], options)


def _train_tokenizer_on_pieces(pieces: Iterable[str], options: Mapping[str, Any]) -> Tokenizer:
    from mypt_nanochat.tokenizer.training import train

    return train(pieces, options.get("vocab_size", DEFAULT_VOCAB_SIZE))
