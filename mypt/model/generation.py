"""Continue sequences of ids, greedily or by sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from attrs import frozen

from mypt.format.errors import ConfigError, Problem
from mypt.model.cache import KVCache

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from torch import Tensor

    from mypt.model.transformer import Transformer

# Tokens among which the nucleus of top-p is looked for first.
LIKELIEST = 1024


@frozen
class Sampling:
    """How the next token is chosen.

    Temperature comes first, then the penalty, top-k, top-p, and a draw from what is left.

    Attributes:
        temperature: Divides the logits; 0 takes the likeliest token and ignores all the rest.
        top_k: Keep the k likeliest tokens, and those as likely as the k-th; None keeps all.
        top_p: Keep the likeliest tokens until their probability reaches this, in (0, 1];
            None keeps all.
        repetition_penalty: Logits of tokens in the window are divided by it where positive,
            multiplied where negative; 1 does nothing. Source: Keskar et al. 2019 (CTRL).
        seed: Same seed, same text, whatever else is in the batch; None draws one.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = 0.95
    repetition_penalty: float = 1.0
    seed: int | None = None

    def __attrs_post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: Options are out of range; all of them are named.
        """
        top_p = 1.0 if self.top_p is None else self.top_p
        rules = {
            "temperature": (0 <= self.temperature < float("inf"), "0 or more"),
            "top_k": (self.top_k is None or self.top_k >= 1, "1 or more"),
            "top_p": (0 < top_p <= 1, "more than 0 and at most 1"),
            "repetition_penalty": (0 < self.repetition_penalty < float("inf"), "more than 0"),
            "seed": (self.seed is None or 0 <= self.seed < 2**64, "0 or more, below 2^64"),
        }
        problems = [
            Problem("", name, f"is {getattr(self, name)}", f"make it {wanted}", kind="sampling")
            for name, (is_well, wanted) in rules.items()
            if not is_well
        ]
        if problems:
            raise ConfigError(*problems)


@torch.inference_mode()
def generate(
    model: Transformer,
    prompt_ids: Tensor,
    max_new_tokens: int,
    sampling: Sampling,
    *,
    allowed_vocab: int | None = None,
    stop_ids: Collection[int] = frozenset(),
    use_cache: bool = True,
) -> Iterator[Tensor]:
    """Continue each row of a batch, one token at a time.

    The model looks at the last block_size tokens, whose positions begin at 0. Once the window
    slides, every token has a new position, so keys and values are computed anew for each token.

    Args:
        model: In evaluation mode.
        prompt_ids: (B, T) int64 on the model's device, T at least 1.
        max_new_tokens: How many tokens to add.
        sampling: How to choose them.
        allowed_vocab: Ids from here on are never chosen (they have no text).
        stop_ids: Ends once every row has had one of these. Rows that had one before go on, and
            what they add means nothing. Costs a wait for the device at each token.
        use_cache: Whether to keep keys and values; tokens are the same without, only slower.

    Yields:
        The next token of each row, (B,) int64, on the model's device.

    Raises:
        ConfigError: `max_new_tokens` is negative.
        ValueError: The model is in training mode.
    """
    if max_new_tokens < 0:
        fix = "make it 0 or more"
        raise ConfigError(Problem("", "max_new_tokens", f"is {max_new_tokens}", fix))
    if model.training:
        message = "the model is in training mode; call model.eval() first"
        raise ValueError(message)
    block_size, length = model.config.block_size, prompt_ids.size(1)
    ids = F.pad(prompt_ids, (0, max_new_tokens))
    draws = _uniform(sampling.seed, max_new_tokens).to(ids.device)
    stops = torch.tensor(sorted(stop_ids), device=ids.device)
    stopped = torch.zeros(ids.size(0), dtype=torch.bool, device=ids.device)
    cache = KVCache(model.config) if use_cache else None
    for end in range(length, length + max_new_tokens):
        window = ids[:, max(0, end - block_size) : end]
        logits = _next_logits(model, window, cache)
        if allowed_vocab is not None:
            logits[:, allowed_vocab:] = float("-inf")
        token = choose(logits, window, sampling, draws[end - length])
        ids[:, end] = token
        yield token
        if stop_ids:
            stopped |= torch.isin(token, stops)
            if bool(stopped.all()):
                return


def choose(logits: Tensor, window: Tensor, sampling: Sampling, draw: Tensor) -> Tensor:
    """Choose the next token of each row.

    Args:
        logits: (B, vocab_size), floating.
        window: Ids that the model looked at, (B, T) int64.
        sampling: How to choose.
        draw: Uniform number in [0, 1), scalar; the same for each row, which uses it on its own
            distribution.

    Returns:
        (B,) int64.
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits.float() / sampling.temperature
    if sampling.repetition_penalty != 1:
        logits = penalise(logits, window, sampling.repetition_penalty)
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None and sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    return draw_from(logits, draw)


def penalise(logits: Tensor, window: Tensor, penalty: float) -> Tensor:
    """Make tokens of the window less likely (penalty above 1): logits (B, V), window (B, T)."""
    seen = logits.gather(1, window)
    return logits.scatter(1, window, torch.where(seen > 0, seen / penalty, seen * penalty))


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the k largest of each row (B, V) to -inf; ties of the k-th stay."""
    kth = logits.topk(min(k, logits.size(-1))).values[:, -1:]
    return logits.masked_fill(logits < kth, float("-inf"))


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the likeliest tokens of each row (B, V) up to the one that reaches probability p.

    Source: Holtzman et al. 2020.
    """
    log_total = logits.logsumexp(dim=-1, keepdim=True)
    ordered, ids = _descending(logits, log_total, p)
    probabilities = (ordered - log_total).exp()
    before = probabilities.cumsum(dim=-1) - probabilities
    kept = ordered.masked_fill(before >= p, float("-inf"))
    return torch.full_like(logits, float("-inf")).scatter_(1, ids, kept)


def _descending(logits: Tensor, log_total: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Sort each row, at least as far as its tokens of probability `p`; values and ids."""
    # To sort a wide vocabulary takes a CPU as long as a small model's forward pass, and the
    # question below costs it no wait.
    if logits.device.type == "cpu" and logits.size(-1) > 4 * LIKELIEST:
        values, ids = logits.topk(LIKELIEST)
        if bool(((values - log_total).exp().sum(dim=-1) >= p).all()):
            return values, ids
    values, ids = logits.sort(dim=-1, descending=True, stable=True)
    return values, ids


def draw_from(logits: Tensor, draw: Tensor) -> Tensor:
    """Draw from the softmax of each row (B, V) by inverting its distribution at `draw`."""
    probabilities = logits.softmax(dim=-1)
    cumulative = probabilities.cumsum(dim=-1)
    # A token of probability 0 may still seem to pass where a device adds up in parallel.
    passed = (cumulative > draw * cumulative[:, -1:]) & (probabilities > 0)
    return passed.to(torch.uint8).argmax(dim=-1)  # the first that passed


def _next_logits(model: Transformer, window: Tensor, cache: KVCache | None) -> Tensor:
    if cache is None:
        return model.next_logits(window)
    if cache.length == model.config.block_size:  # the window slid: all positions are new
        cache.length = 0
    return model.next_logits(window[:, cache.length :], cache)


def _uniform(seed: int | None, count: int) -> Tensor:
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    # Short of 1 by more than rounding can take back, so that some token always passes the draw.
    return torch.rand(count, generator=generator) * (1 - 2**-20)
