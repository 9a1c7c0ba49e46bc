"""Continue sequences of ids, greedily or by sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from mypt.format.errors import ConfigError, Problem
from mypt.model.decoding.prefix_cache import CachedLogits
from mypt.model.decoding.rows import Rows
from mypt.model.decoding.sampling import IMPOSSIBLE, choose_ids
from mypt.model.mode import evaluation_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from mypt.model.decoding.prefix_cache import PrefixCache
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
    prefix: PrefixCache | None = None,
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
        prefix: Where they are kept for the next text, and those of the last one are found; for a
            single row.

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
    if use_cache and prefix is not None:
        next_logits = prefix.begin(model, rows.window(rows.shortest, block_size), max_new_tokens)
    elif use_cache:
        next_logits = CachedLogits(model, len(prompts), rows.end, max_new_tokens)
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
