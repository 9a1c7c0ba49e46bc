"""Continue sequences of ids, greedily or by sampling."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch

from mypt.format.errors import ConfigError, Problem
from mypt.model.decoding.decoder import Decoder
from mypt.model.decoding.rows import Rows
from mypt.model.decoding.sampling import IMPOSSIBLE, choose_ids
from mypt.model.mode import evaluation_mode
from mypt.model.part_failures import naming_failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from mypt.model.decoding.rows import DrawNumbers
    from mypt.model.decoding.sampling_options import Sampling
    from mypt.model.transformer import Transformer

    # From the logits of a step, (B, V) float32, its own to change, and its number, counted from 0:
    # the logits that its tokens are chosen by.
    ProcessLogits = Callable[[Tensor, int], Tensor]


class Step(NamedTuple):
    """The result of one step.

    Attributes:
        ids: Next token of each row, (B,) int64, on the model's device.
        logits: The model's logits that it was chosen by, (B, vocab_size); valid until the next
            step.
    """

    ids: Tensor
    logits: Tensor


def generate(
    model: Transformer,
    prompts: Tensor | Sequence[Tensor],
    max_new_tokens: int,
    sampling: Sampling,
    *,
    draw: DrawNumbers | None = None,
    allowed_vocab: int | None = None,
    use_cache: bool = True,
) -> Iterator[Tensor]:
    """Continue each row of a batch, one token at a time; yields the ids of `steps`."""
    for step in steps(
        model,
        prompts,
        max_new_tokens,
        sampling,
        draw=draw,
        allowed_vocab=allowed_vocab,
        use_cache=use_cache,
    ):
        yield step.ids


@torch.inference_mode()
def steps(
    model: Transformer,
    prompts: Tensor | Sequence[Tensor],
    max_new_tokens: int,
    sampling: Sampling,
    *,
    draw: DrawNumbers | None = None,
    allowed_vocab: int | None = None,
    use_cache: bool = True,
    process: ProcessLogits | None = None,
) -> Iterator[Step]:
    """Continue each row of a batch, one token at a time.

    Time and memory are those of the steps that are taken: `max_new_tokens` may be any number.

    The model attends to the last block_size tokens, whose positions begin at 0. Once the window
    slides, every token has a new position, so all keys and values are recomputed for each token.

    Prompts of different lengths all begin at position 0. Steps begin after the shortest one, and a
    row that is still within its prompt takes its next token from there. So every row has the same
    positions as on its own, without padding, whatever parts the model has.

    Args:
        model: In any mode; each step is computed in evaluation mode, without dropout.
        prompts: One row each, int64 on the model's device, at least one token; (B, T) if all
            have the same length. Only their last block_size tokens are used.
        max_new_tokens: Number of tokens to add to each row.
        sampling: How to choose them.
        draw: Draws the numbers that decide the new tokens of a row; not needed at temperature 0.
        allowed_vocab: Ids from here on are never chosen (they have no text).
        use_cache: Whether to keep keys and values; it changes the speed, not the tokens.
        process: Changes the logits before a token is chosen. It is called once before each step is
            yielded.

    Yields:
        As many steps as the longest row needs. Row i has its first new token in step
        `len(row i) - len(shortest row)`, counted from 0 (lengths as used); anything after its last
        new token is meaningless.

    Raises:
        ConfigError: `max_new_tokens` is negative.
    """
    if max_new_tokens < 0:
        fix = "make it 0 or more"
        raise ConfigError(Problem("", "max_new_tokens", f"is {max_new_tokens}", fix))
    block_size = model.config.block_size
    rows = Rows([prompt[-block_size:] for prompt in prompts], max_new_tokens, draw)
    next_logits: Callable[[Tensor], Tensor] = model.next_logits
    if use_cache:
        next_logits = _CachedLogits(model, len(prompts), rows.end, max_new_tokens)
    for number, end in enumerate(range(rows.shortest, rows.end)):
        window = rows.window(end, block_size)
        with evaluation_mode(model):
            logits = next_logits(window)
        choosable = logits
        if allowed_vocab is not None and allowed_vocab < logits.size(1):
            choosable = logits.clone()
            choosable[:, allowed_vocab:] = IMPOSSIBLE
        if process is not None:
            choosable = process(choosable.to(torch.float32, copy=choosable is logits), number)
        ids = choose_ids(choosable, window, sampling, rows.draws(end))
        yield Step(rows.put(end, ids), logits)


class _CachedLogits:
    """Computes the logits after a window, caching the keys and values of earlier tokens."""

    def __init__(self, model: Transformer, batch_size: int, length: int, new_tokens: int) -> None:
        self._model = model
        self._cacheable = model.config.cacheable_length
        self._cache = model.make_cache(length)
        self._make_decoder = partial(Decoder.make, model, batch_size, new_tokens)
        self._decoder: Decoder | Transformer | None = None

    def __call__(self, window: Tensor) -> Tensor:
        cache = self._cache
        if window.size(1) > self._cacheable:
            return self._model.next_logits(window)
        if cache.length == self._model.config.block_size:  # it slid: all positions are new
            cache.length = 0
        new = window[:, cache.length :]
        if new.size(1) > 1 or cache.length == 0:
            return self._model.next_logits(new, cache)
        with naming_failures(self._model):
            if self._decoder is None:
                self._decoder = self._make_decoder() or self._model
            return self._decoder.next_logits(new, cache)
