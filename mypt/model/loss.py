"""Cross entropy of the output layer, without the full matrix of logits if that is large.

This is the one place that decides how the loss is computed. For a wide vocabulary the rows are
processed in chunks, and the gradients of the output layer are computed in the same pass, while the
chunk's logits exist. On CPU in float32 (one thread, vocabulary 50304) that takes 0.4 of the time of
full logits at n_embd 192, 0.5 at 384 and 0.8 at 768.

From torch 2.13 on, `torch.nn.functional.linear_cross_entropy` does the same, equally fast, but it
rounds the loss to the dtype of the matrix products (with bf16 that leaves three digits, with fp16
the scaled loss overflows), computes the logits twice if there is a mask, and on CUDA sums the
gradient of the weights in an order that varies from run to run.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mypt.model.loss_chunked import chunked_sum, loss_dtype

# Below this size full logits are equally fast, need little memory, and can be compiled.
WIDE_VOCABULARY = 1024


def output_loss(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    loss_mask: Tensor | None = None,
) -> Tensor:
    """Return the mean cross entropy of the output layer.

    Args:
        hidden: Input of the output layer, (..., n_embd), floating.
        weight: Matrix of the output layer, (vocab_size, n_embd).
        bias: Bias of the output layer, (vocab_size,), or None.
        targets: Target ids, the shape of `hidden` without its last dimension, int64.
        loss_mask: Weight of each position from 0 to 1, shape of `targets`, any dtype.

    Returns:
        Scalar float32 (float64 if `hidden` is), in nats per token: the mean, or with a mask
        sum(loss * mask) / sum(mask). NaN where no position counts, with gradients of 0: a mean
        over nothing has no value. Under autocast the products use its dtype.
    """
    rows, ids = hidden.flatten(0, -2), targets.flatten()
    mask = None if loss_mask is None else loss_mask.flatten().float()
    total = _sum_losses if weight.size(0) < WIDE_VOCABULARY else _sum_losses_in_chunks
    summed = total(rows, weight, bias, ids, mask)
    if mask is None:
        return summed / ids.numel()
    count = mask.sum()
    some = count > 0
    return (summed / count.where(some, 1.0)).where(some, math.nan)  # 0 / 0 has no gradient


def _sum_losses(
    rows: Tensor, weight: Tensor, bias: Tensor | None, ids: Tensor, mask: Tensor | None
) -> Tensor:
    logits = F.linear(rows, weight, bias).to(loss_dtype(rows.dtype))
    if mask is None:
        return F.cross_entropy(logits, ids, reduction="sum")
    return F.cross_entropy(logits, ids, reduction="none") @ mask.to(logits.dtype)


def _sum_losses_in_chunks(
    rows: Tensor, weight: Tensor, bias: Tensor | None, ids: Tensor, mask: Tensor | None
) -> Tensor:
    if torch.compiler.is_compiling():
        from mypt.model import loss_uncompiled  # imported late: loads the compiler

        total: Tensor = loss_uncompiled.chunked_sum(rows, weight, bias, ids, mask)
        return total
    return chunked_sum(rows, weight, bias, ids, mask)
