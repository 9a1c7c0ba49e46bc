"""Choose the next token of each row from its logits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from mypt.model.decoding.sampling_options import Sampling

# From so many tokens on, sorting them all takes as long as a small model's forward pass.
WIDE = 4096
# Where the nucleus of top-p is looked for, one after the other: among tokens this likely.
LEAST_PROBABILITIES = (1e-3, 1e-4, 1e-5)
# More than rounding makes of a sum of probabilities.
ROUNDING = 1e-4
IMPOSSIBLE = -math.inf
# The smallest normal float32: less may be rounded to 0, which would exclude the likeliest token.
SMALLEST = 2.0**-126


def choose_ids(logits: Tensor, window: Tensor, sampling: Sampling, draws: Tensor) -> Tensor:
    """Choose the next token of each row.

    Args:
        logits: (B, vocab_size), floating.
        window: Ids in the model's window, (B, T) int64.
        sampling: How to choose.
        draws: Uniform numbers in [0, 1), (B,) or one for all; unused at temperature 0.

    Returns:
        (B,) int64.
    """
    logits = logits.float()
    if sampling.temperature > 0:
        logits = logits / sampling.temperature
    if sampling.repetition_penalty != 1:
        logits = penalise(logits, window, sampling.repetition_penalty)
    if sampling.no_repeat_ngram_size is not None:
        logits = ban_repeated_ngrams(logits, window, sampling.no_repeat_ngram_size)
    if sampling.temperature == 0:
        return logits.max(dim=-1).indices  # on a CPU in 0.4 of the time of `argmax`
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None and sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p is not None:
        logits = keep_min_p(logits, sampling.min_p)
    return draw_from(logits, draws)


def penalise(logits: Tensor, window: Tensor, penalty: float) -> Tensor:
    """Make the tokens in the window less likely (penalty > 1): logits (B, V), window (B, T)."""
    seen = logits.gather(1, window)
    return logits.scatter(1, window, torch.where(seen > 0, seen / penalty, seen * penalty))


def ban_repeated_ngrams(logits: Tensor, window: Tensor, size: int) -> Tensor:
    """Ban the tokens that would complete a run of `size` tokens that the window already has.

    A row in which this would leave nothing is not changed.

    Args:
        logits: (B, V).
        window: (B, T) int64.
        size: At least 1.
    """
    if window.size(1) < size:
        return logits
    runs = window.unfold(1, size, 1)  # (B, T - size + 1, size)
    begun = window[:, None, window.size(1) - size + 1 :]  # what the next token would continue
    repeats = (runs[:, :, :-1] == begun).all(dim=-1)
    last = runs[:, :, -1]
    # A token is banned if any of its runs repeats: the maximum of zeros and ones.
    banned = torch.zeros_like(logits).scatter_reduce_(1, last, repeats.to(logits.dtype), "amax")
    left = logits.masked_fill(banned > 0, IMPOSSIBLE)
    return torch.where((left > IMPOSSIBLE).any(dim=-1, keepdim=True), left, logits)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the k largest logits of each row (B, V) to -inf; ties with the k-th are kept."""
    kth = logits.topk(min(k, logits.size(-1))).values[:, -1:]
    return logits.masked_fill(logits < kth, IMPOSSIBLE)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the likeliest tokens of each row (B, V) up to the one that reaches probability p.

    Source: Holtzman et al. 2020.
    """
    log_total = logits.logsumexp(dim=-1, keepdim=True)
    if logits.device.type == "cpu" and logits.size(1) > WIDE:
        return _keep_top_p_by_row(logits, log_total, p)
    ordered, ids = logits.sort(dim=-1, descending=True, stable=True)
    kept = _cut_nucleus(ordered, log_total, p)
    return torch.full_like(logits, IMPOSSIBLE).scatter_(1, ids, kept)


def _keep_top_p_by_row(logits: Tensor, log_total: Tensor, p: float) -> Tensor:
    """Do the same, sorting only what may be in the nucleus: of a wide vocabulary a small part."""
    kept = torch.full_like(logits, IMPOSSIBLE)
    for row, of_row in enumerate(logits):
        ids = _find_likely(of_row, log_total[row], p)
        ordered, order = of_row[ids].sort(descending=True, stable=True)
        kept[row, ids[order]] = _cut_nucleus(ordered, log_total[row], p)
    return kept


def _find_likely(logits: Tensor, log_total: Tensor, p: float) -> Tensor:
    """Return the ids of the likeliest tokens, (N,), as many as reach p together, or more.

    Args:
        logits: (V,), on the CPU.
        log_total: The logarithm of the sum of their exponentials, (1,).
        p: In (0, 1).
    """
    values, total = logits.detach().numpy(), float(log_total)
    for least in LEAST_PROBABILITIES:
        # numpy compares and looks for True in a sixth of the time.
        ids = torch.from_numpy(np.flatnonzero(values >= total + math.log(least)))
        if float((logits[ids] - total).exp().sum()) > p + ROUNDING:
            return ids
    return torch.arange(len(logits))


def _cut_nucleus(ordered: Tensor, log_total: Tensor, p: float) -> Tensor:
    """Set the logits (..., N), the largest first, to -inf from where those before reach p."""
    probabilities = (ordered - log_total).exp()
    before = _cumulate(probabilities) - probabilities
    return ordered.masked_fill(before >= max(p, SMALLEST), IMPOSSIBLE)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Keep the tokens of each row (B, V) that are at least p times as likely as the likeliest.

    Source: Nguyen et al. 2024.
    """
    if p == 0:
        return logits
    least = logits.amax(dim=-1, keepdim=True) + math.log(p)
    return logits.masked_fill(logits < least, IMPOSSIBLE)


def draw_from(logits: Tensor, draws: Tensor) -> Tensor:
    """Draw from the softmax of each row (B, V) by inverting its distribution at `draws`.

    Args:
        logits: (B, V).
        draws: Uniform numbers in [0, 1), (B,) or one for all.
    """
    probabilities = logits.softmax(dim=-1)
    cumulative = _cumulate(probabilities)
    # Below 1 by more than rounding can make up for, so that some token always passes the draw.
    draws = draws.to(logits.dtype) * (1 - 2**-20)
    bounds = draws.view(-1, 1) * cumulative[:, -1:]
    if logits.device.type == "cpu":  # in a tenth of the time; of NaN the first token, as below
        of_each = cumulative.expand(len(bounds), -1).contiguous()
        return torch.searchsorted(of_each, bounds, right=True)[:, 0] % logits.size(1)
    # A token of probability 0 may still seem to pass if a device sums in parallel.
    passed = (cumulative > bounds) & (probabilities > 0)
    return passed.to(torch.uint8).argmax(dim=-1)  # the first that passed


def _cumulate(probabilities: Tensor) -> Tensor:
    """Return the running total of each row (B, V); in float64 on a GPU, where the order varies."""
    on_gpu = probabilities.device.type == "cuda"
    return probabilities.cumsum(dim=-1, dtype=torch.float64 if on_gpu else None)
