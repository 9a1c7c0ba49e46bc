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
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mypt.plugins.nn.loss_chunked import chunked_sum, loss_dtype
from mypt.plugins.nn.token_loss import CrossEntropy, Finish, finish_logits

if TYPE_CHECKING:
    from mypt.plugins.contracts.training import TokenLoss

# Below this size full logits are equally fast, need little memory, and can be compiled.
WIDE_VOCABULARY = 1024


def output_loss(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    loss_mask: Tensor | None = None,
    *,
    scale: float = 1.0,
    soft_cap: float | None = None,
    z_loss: float = 0.0,
    token_loss: TokenLoss | None = None,
) -> Tensor:
    """Return the mean loss of the output layer: the cross entropy, or another.

    Args:
        hidden: Input of the output layer, (..., n_embd), floating.
        weight: Matrix of the output layer, (vocab_size, n_embd).
        bias: Bias of the output layer, (vocab_size,), or None.
        targets: Target ids, the shape of `hidden` without its last dimension, int64.
        loss_mask: Weight of each position from 0 to 1, shape of `targets`, any dtype.
        scale: Factor of the logits.
        soft_cap: Bounds the scaled logits: c * tanh(logits / c); None leaves them as they are.
        z_loss: Factor of the squared logarithm of the softmax's denominator, which is added to the
            loss of each position, so that logits stay near 0. Source: Chowdhery et al. 2022 (PaLM),
            section 5.
        token_loss: The loss of each position; None for the cross entropy. That of another class
            than `CrossEntropy` is differentiated by autograd, a chunk at a time for any vocabulary.

    Returns:
        Scalar float32 (float64 if `hidden` is), in nats per token: the mean, or with a mask
        sum(loss * mask) / sum(mask). NaN where no position counts, with gradients of 0: a mean
        over nothing has no value. Under autocast the products use its dtype.

    Raises:
        PluginError: `token_loss` is a plugin's, and fails or violates its contract.
    """
    rows, ids = hidden.flatten(0, -2), targets.flatten()
    mask = None if loss_mask is None else loss_mask.flatten().float()
    finish = Finish(scale, soft_cap, z_loss)
    if isinstance(token_loss, CrossEntropy):
        smoothing = token_loss.label_smoothing
        finish = Finish(scale, soft_cap, z_loss + token_loss.z_loss, smoothing)
    elif token_loss is not None:
        finish = finish._replace(token_loss=token_loss)
    is_narrow = weight.size(0) < WIDE_VOCABULARY and finish.token_loss is None
    total = _sum_losses if is_narrow else _sum_losses_in_chunks
    summed = total(rows, weight, bias, ids, mask, finish)
    if mask is None:
        return summed / ids.numel()
    count = mask.sum()
    some = count > 0
    return (summed / count.where(some, 1.0)).where(some, math.nan)  # 0 / 0 has no gradient


def _sum_losses(
    rows: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    ids: Tensor,
    mask: Tensor | None,
    finish: Finish,
) -> Tensor:
    logits = F.linear(rows, weight, bias).to(loss_dtype(rows.dtype))
    logits = finish_logits(logits, finish.scale, finish.soft_cap)
    if mask is None and not finish.z_loss:
        return F.cross_entropy(logits, ids, reduction="sum", label_smoothing=finish.label_smoothing)
    losses = F.cross_entropy(logits, ids, reduction="none", label_smoothing=finish.label_smoothing)
    if finish.z_loss:
        losses = losses + finish.z_loss * logits.logsumexp(dim=1).square()
    return losses.sum() if mask is None else losses @ mask.to(losses.dtype)


def _sum_losses_in_chunks(
    rows: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    ids: Tensor,
    mask: Tensor | None,
    finish: Finish,
) -> Tensor:
    if torch.compiler.is_compiling():
        from mypt.plugins.nn import loss_uncompiled  # imported late: loads the compiler

        total: Tensor = loss_uncompiled.chunked_sum(rows, weight, bias, ids, mask, finish)
        return total
    return chunked_sum(rows, weight, bias, ids, mask, finish)
