"""The contexts of the layers in one forward pass: masks and rotations, each made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.checkpoint import checkpoint

from mypt.plugins.parts import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import Placement


class LayerKind(NamedTuple):
    """What the contexts of two layers differ in.

    Attributes:
        window: Number of positions that the layer attends to at most; None for all.
        is_rotated: Whether it rotates queries and keys.
    """

    window: int | None
    is_rotated: bool


def list_kinds(config: GPTConfig) -> tuple[LayerKind, ...]:
    """Return the kind of each layer of a model."""
    return tuple(
        LayerKind(config.window_at(layer), config.is_rotated(layer))
        for layer in range(config.n_layer)
    )


class PassContexts:
    """See `mypt.plugins.parts.Contexts`.

    Attributes:
        start: Number of positions before this pass.
        documents: The text of each position where a row has several; None where it is one.
        apply: Calls a layer.
    """

    def __init__(
        self,
        kinds: Sequence[LayerKind],
        placement: Placement,
        start: int,
        length: int,
        device: torch.device,
        apply: Callable[..., Any] | None = None,
        documents: Tensor | None = None,
    ) -> None:
        """Start without contexts.

        Args:
            kinds: The kind of each layer.
            placement: How positions enter this pass.
            start: Number of positions before it.
            length: Number of its positions.
            device: Where masks are made.
            apply: Calls a layer with its inputs; None for a plain call.
            documents: The document of each position, (B, length), of a pass that begins at position
                0; positions attend only to those of their own. None lets them attend to all.
        """
        self.start = start
        self.apply = call_layer if apply is None else apply
        self._kinds = kinds
        self._placement = placement
        self._length = length
        self._device = device
        self.documents = documents
        self._made: dict[tuple[int | None, bool], Context] = {}

    def of_layer(self, layer: int) -> Context:
        """Return the context of a layer of the config's kinds."""
        kind = self._kinds[layer]
        made = self._made.get(kind)
        return self._make(*kind) if made is None else made

    def of_window(self, window: int | None, *, is_rotated: bool = True) -> Context:
        """Return the context of layers with a window, or with None."""
        made = self._made.get((window, is_rotated))
        return self._make(window, is_rotated) if made is None else made

    def _make(self, window: int | None, is_rotated: bool) -> Context:
        placement, other = self._placement, self._made.get((window, not is_rotated))
        rotate = placement.rotate
        if window is not None and placement.rotate_sliding is not None:
            rotate = placement.rotate_sliding
        mask = self._make_mask(window) if other is None else other.mask
        made = Context(self.start, rotate if is_rotated else None, mask, window)
        self._made[window, is_rotated] = made
        return made

    def _make_mask(self, window: int | None) -> Tensor | None:
        """Combine a position bias with causality and a window; None where `Context` allows it."""
        bias, start, end = self._placement.bias, self.start, self.start + self._length
        first = 0 if window is None else max(0, start - window + 1)
        if bias is not None and bias.size(-1) > 1:
            bias = bias[..., first:]
        if self._length == 1:
            return bias
        documents = self.documents
        is_plain = bias is None and documents is None
        if is_plain and start == 0 and (window is None or end <= window):
            return None
        keys = torch.arange(first, end, device=self._device)
        positions = torch.arange(start, end, device=self._device)[:, None]
        seen = keys <= positions  # (T, K)
        if window is not None:
            seen &= keys > positions - window
        if documents is not None:
            seen = seen & (documents[:, None, :, None] == documents[:, None, None])  # (B, 1, T, T)
        return seen if bias is None else bias.masked_fill(~seen, float("-inf"))


def number_documents(idx: Tensor, end: int) -> Tensor:
    """Return the number of the document that each position is in, (B, T) int64, from 0.

    Args:
        idx: Ids, (B, T) int64.
        end: The id of the token that ends a document, and belongs to it.
    """
    ends = idx == end
    return ends.cumsum(1) - ends.long()


def count_places(segments: Tensor) -> Tensor:
    """Return how many positions of its own text come before each, (B, T) int64.

    Args:
        segments: The number of the text that each position is in, (B, T) int64, never falling.
    """
    places = torch.arange(segments.size(1), device=segments.device).expand_as(segments)
    is_first = torch.ones_like(segments, dtype=torch.bool)
    is_first[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return places - (places * is_first).cummax(1).values


def call_layer(layer: Callable[..., Any], *inputs: Any) -> Any:
    """Call a layer."""
    return layer(*inputs)


def recompute_layer(layer: Callable[..., Any], *inputs: Any) -> Any:
    """Call a layer, keeping only its inputs for the backward pass."""
    return checkpoint(layer, *inputs, use_reentrant=False)
