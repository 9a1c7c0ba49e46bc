"""mypt's embedding and output layer, with the weights that nanochat gives to new models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.plugins import LinearHead, TokenEmbedding
from mypt_nanochat.initial_values import EMBEDDING_STD, HEAD_STD, draw_normal

if TYPE_CHECKING:
    import torch


class NanochatEmbedding(TokenEmbedding):
    """One vector per id; the config says that it is normalised."""

    def reset(self, generator: torch.Generator) -> None:
        """Set the weights of a new model."""
        draw_normal(self.weight, EMBEDDING_STD, generator)


class NanochatHead(LinearHead):
    """A linear layer; the config says that its logits have a soft cap."""

    def reset(self, generator: torch.Generator) -> None:
        """Set the weights of a new model, but for a bias."""
        draw_normal(self.weight, HEAD_STD, generator)
