"""Continue texts of different lengths by one token each, all in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from mypt.model.decoding.decoder import MANY_TOKENS, Decoder
from mypt.model.decoding.joined_cache import JoinedCache, list_layer_caches
from mypt.model.decoding.sampling import IMPOSSIBLE
from mypt.model.mode import evaluation_mode
from mypt.model.part_failures import find_origins, naming_failures
from mypt.plugins.parts import Placement

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mypt.model.kv_cache import KVCache
    from mypt.model.transformer import Transformer

    Rotate = Callable[[Tensor], Tensor]


# The texts that the parts of a plugin are tried with, and how far logits may be from those alone.
TRIED_LENGTH = 6
TOLERANCE = 1e-3
TOLERANCES = {torch.bfloat16: 5e-2, torch.float16: 1e-2}


class RowsDecoder(Protocol):
    """Continues texts that join and leave at any time; they are numbered from 0.

    The weights must not change meanwhile, and no text may become longer than the model's
    `cacheable_length`.
    """

    def join(self, ids: Tensor) -> Tensor:
        """Begin a text, which becomes the last row.

        Args:
            ids: Its tokens, (T,) int64.

        Returns:
            The logits of the token after it, (vocab_size,).
        """
        ...

    def leave(self, row: int) -> None:
        """Remove a text; the last one takes its row."""
        ...

    def next_logits(self, ids: Tensor) -> Tensor:
        """Add a token to each text, and compute the logits of the one after it.

        Args:
            ids: The tokens, (B,) int64.

        Returns:
            (B, vocab_size); valid until the next call.
        """
        ...


class JoinedDecoder:
    """A `RowsDecoder` with a single pass for all texts."""

    def __init__(self, model: Transformer, decoder: Decoder, max_rows: int) -> None:
        """Start without a text.

        Args:
            model: One whose stack has caches as `list_layer_caches` finds them.
            decoder: Its decoder, for `max_rows` rows.
            max_rows: Number of texts that there may be at once, 1 or more.
        """
        self._model, self._decoder = model, decoder
        self._cache = JoinedCache(model, max_rows)
        self._device = next(model.parameters()).device
        self._indices = torch.arange(self._cache.max_capacity, device=self._device)
        self._befores = self._indices[:0]
        self._hidden: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory for keys and values."""
        return self._cache.nbytes

    def join(self, ids: Tensor) -> Tensor:
        """See `RowsDecoder`."""
        with evaluation_mode(self._model):
            logits = self._model.next_logits(ids[None], self._cache.begin(len(ids)))[0]
        self._cache.append(len(ids))
        self._hide()
        return logits

    def leave(self, row: int) -> None:
        """See `RowsDecoder`."""
        self._cache.leave(row)
        self._hide()

    def next_logits(self, ids: Tensor) -> Tensor:
        """See `RowsDecoder`."""
        cache = self._cache
        if cache.make_room():
            self._hide()
        with evaluation_mode(self._model), naming_failures(self._model):
            placement = self._place_rows()
            logits = self._decoder.compute(ids, placement, cache.end, cache.layers)
        cache.grow()
        return logits

    def _hide(self) -> None:
        """Note how much is before each text, which its mask hides until texts join or move."""
        cache = self._cache
        befores = [cache.end - length for length in cache.lengths]
        self._hidden = None
        if any(befores):
            self._befores = torch.tensor(befores, device=self._device)
            is_hidden = self._indices[: cache.capacity] < self._befores[:, None]
            mask = torch.zeros(is_hidden.shape, dtype=cache.dtype, device=self._device)
            self._hidden = mask.masked_fill_(is_hidden, IMPOSSIBLE)[:, None, None]

    def _place_rows(self) -> Placement:
        """Return the placement of the next token of each text."""
        end = self._cache.end
        if self._hidden is None:
            return self._decoder.place(end)
        longest = max(self._cache.lengths)
        placed = self._model.position_embedding_table(
            end - self._befores, self._indices[: longest + 1]
        )
        hidden = self._hidden[..., : end + 1]
        if placed.bias is not None:
            hidden = hidden + self._align(placed.bias, longest + 1)
        return Placement(
            embedding=placed.embedding,
            rotate=_rotate_rows(placed.rotate),
            bias=hidden,
            rotate_sliding=_rotate_rows(placed.rotate_sliding),
        )

    def _align(self, bias: Tensor, n_keys: int) -> Tensor:
        """Move the bias of each text from positions to indices.

        Args:
            bias: Broadcastable to (1, n_head, B, n_keys), a row's keys from its position 0 on.
            n_keys: Number of positions of the longest text.

        Returns:
            (B, n_head or 1, 1, end + 1).
        """
        n_rows, n_indices = len(self._befores), self._cache.end + 1
        by_head = bias.reshape(-1, *bias.shape[-2:]).expand(-1, n_rows, n_keys)
        keys = (self._indices[:n_indices] - self._befores[:, None]).clamp_(min=0)
        moved = by_head.gather(2, keys.expand(len(by_head), -1, -1))
        return moved.transpose(0, 1)[:, :, None]


class SeparateDecoder:
    """A `RowsDecoder` with a pass for each text, for models whose parts know no other way."""

    def __init__(self, model: Transformer, decoder: Decoder | None) -> None:
        """Start without a text.

        Args:
            model: Any model.
            decoder: Its decoder, if its tokens come one by one otherwise than in passes.
        """
        self._model, self._decoder = model, decoder
        self._caches: list[KVCache] = []

    def join(self, ids: Tensor) -> Tensor:
        """See `RowsDecoder`."""
        cache = self._model.make_cache()
        with evaluation_mode(self._model):
            logits = self._model.next_logits(ids[None], cache)[0]
        self._caches.append(cache)
        return logits

    def leave(self, row: int) -> None:
        """See `RowsDecoder`."""
        self._caches[row] = self._caches[-1]
        self._caches.pop()

    def next_logits(self, ids: Tensor) -> Tensor:
        """See `RowsDecoder`."""
        step = self._decoder or self._model
        with evaluation_mode(self._model), naming_failures(self._model):
            rows = [
                step.next_logits(token[None], cache)
                for token, cache in zip(ids[:, None], self._caches, strict=True)
            ]
        return torch.cat(rows)


@torch.inference_mode()
def make_rows_decoder(model: Transformer, max_rows: int) -> RowsDecoder:
    """Make the fastest decoder that a model allows, for at most `max_rows` texts at once."""
    decoder = Decoder.make(model, max_rows, MANY_TOKENS)
    if max_rows > 1 and decoder is not None and list_layer_caches(model.make_cache(1).layers):
        joined = JoinedDecoder(model, decoder, max_rows)
        if not find_origins(model) or _is_exact(model, joined):
            return joined
    return SeparateDecoder(model, Decoder.make(model, 1, MANY_TOKENS))


def _is_exact(model: Transformer, joined: JoinedDecoder) -> bool:
    """Return whether two texts of different lengths get the logits of each alone.

    The parts of a plugin may take positions from elsewhere than from the placement.
    """
    device = next(model.parameters()).device
    ids = torch.arange(TRIED_LENGTH, device=device) % model.config.vocab_size
    texts = [ids, ids[: TRIED_LENGTH // 3]]
    try:
        for text in texts:
            joined.join(text[:-1])
        found = joined.next_logits(torch.stack([text[-1] for text in texts]))
        for row in (1, 0):
            joined.leave(row)
    except Exception:  # whatever a plugin may raise: it is called in another way than it promises
        return False
    with evaluation_mode(model):
        expected = torch.cat([model.next_logits(text[None]) for text in texts])
    tolerance = TOLERANCES.get(found.dtype, TOLERANCE)
    return torch.allclose(found, expected, rtol=tolerance, atol=tolerance)


def _rotate_rows(rotate: Rotate | None) -> Rotate | None:
    """Return what rotates one position of each row, (B, heads, 1, width), as those of one text."""
    if rotate is None:
        return None
    return lambda x: rotate(x.transpose(0, 2)).transpose(0, 2)
