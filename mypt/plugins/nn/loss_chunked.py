"""Sum cross entropies one chunk of rows at a time, with the gradients in the same pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator


# Rows of logits per chunk: few enough for the cache of a CPU, enough to keep a GPU busy.
CHUNK_ROWS_CPU = 512


CHUNK_ROWS_GPU = 4096


# Smaller probabilities come close to the smallest float32, and so lose digits.
FEW_DIGITS = 1e-30


# Thousands of rows with one target id can sum to more than fp16 holds; a power of 2 costs no digit.
ROOM = 64


class Finish(NamedTuple):
    """What is done to the logits and their loss; see `output_loss`."""

    scale: float
    soft_cap: float | None
    z_loss: float


def chunked_sum(
    rows: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    ids: Tensor,
    mask: Tensor | None,
    finish: Finish,
) -> Tensor:
    """Sum the losses of (N, n_embd) `rows`, in chunks; see `output_loss`."""
    device = rows.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else rows.dtype
    with torch.autocast(device, enabled=False):
        return _ChunkedSum.apply(  # type: ignore[no-untyped-call, no-any-return]
            rows, weight, bias, ids, mask, finish, dtype, torch.is_grad_enabled()
        )


class _ChunkedSum(torch.autograd.Function):
    """Sum of cross entropies; the forward pass also computes the gradients.

    They are computed for an upstream gradient of 1, so that no fp16 value underflows, and scaled
    in the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        ids: Tensor,
        mask: Tensor | None,
        finish: Finish,
        dtype: torch.dtype,
        needs_grad: bool,
    ) -> Tensor:
        narrow_bias = None if bias is None else bias.to(dtype)
        output = _OutputLayer(rows.to(dtype), weight.to(dtype), narrow_bias, finish)
        total = rows.new_zeros((), dtype=loss_dtype(rows.dtype))
        gradients = _Gradients.zeros(output) if needs_grad else None
        for here, chunk in output.chunks(ids):
            weights = None if mask is None else mask[here, None].to(total.dtype)
            losses = chunk.losses
            if chunk.log_totals is not None:
                losses = losses + finish.z_loss * chunk.log_totals.square()
            total += (losses if weights is None else losses * weights).sum()
            if gradients is not None:
                of_logits = _compute_logit_gradient(chunk, ids[here, None], weights, finish)
                gradients.add(output, here, of_logits)
        if gradients is not None:
            ctx.save_for_backward(*gradients)
        ctx.dtypes = rows.dtype, weight.dtype, None if bias is None else bias.dtype
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (
            None if dtype is None else gradient.to(dtype) * upstream
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return (*scaled, None, None, None, None, None)


class _Chunk(NamedTuple):
    """The results for n rows; valid until those of the next."""

    losses: Tensor  # (n, 1)
    probabilities: Tensor  # (n, vocab_size)
    tanhs: Tensor | None  # of the scaled logits divided by the soft cap, (n, vocab_size)
    log_totals: Tensor | None  # logarithms of the softmax's denominators, (n, 1), for the z-loss


class _OutputLayer(NamedTuple):
    rows: Tensor  # (N, n_embd)
    weight: Tensor  # (vocab_size, n_embd), dtype of rows
    bias: Tensor | None  # (vocab_size,), dtype of rows
    finish: Finish

    def chunks(self, ids: Tensor) -> Iterator[tuple[slice, _Chunk]]:
        """Yield some rows at a time, with their results; each exponential is computed once."""
        count, on_cpu = self.rows.size(0), self.rows.device.type == "cpu"
        size = min(count, CHUNK_ROWS_CPU if on_cpu else CHUNK_ROWS_GPU)
        memory = None
        if on_cpu and self.rows.dtype == loss_dtype(self.rows.dtype):
            # On a CPU, allocating costs more than the products.
            matrices = 1 if self.finish.soft_cap is None else 2
            memory = self.rows.new_empty(matrices, size, self.weight.size(0))
        for start in range(0, count, size):
            here = slice(start, min(start + size, count))
            rows, right = self.rows[here], ids[here, None]
            if memory is None:
                yield here, self._compute_in_new_memory(rows, right)
            else:
                yield here, self._compute_in_place(rows, right, memory[:, : rows.size(0)])

    def _compute_in_new_memory(self, rows: Tensor, right: Tensor) -> _Chunk:
        scale, soft_cap, z_loss = self.finish
        logits, wide, tanhs = F.linear(rows, self.weight, self.bias), loss_dtype(rows.dtype), None
        if scale != 1:
            logits = logits.to(wide) * scale
        if soft_cap is not None:
            tanhs = (logits.to(wide) / soft_cap).tanh_()
            logits = tanhs * soft_cap
        probabilities = logits.softmax(dim=1, dtype=wide)
        # The probability of the likeliest id is precise, so the normalizer is derived from it.
        largest, likeliest = logits.max(dim=1, keepdim=True)
        log_share = probabilities.gather(1, likeliest).log()
        losses = largest.to(wide) - logits.gather(1, right) - log_share
        log_totals = largest.to(wide) - log_share if z_loss else None
        return _Chunk(losses, probabilities, tanhs, log_totals)

    def _compute_in_place(self, rows: Tensor, right: Tensor, memory: Tensor) -> _Chunk:
        scale, soft_cap, z_loss = self.finish
        factor, tanhs = scale if soft_cap is None else scale / soft_cap, None
        scaled = rows if factor == 1 else rows * factor
        logits = torch.mm(scaled, self.weight.T, out=memory[0])
        if self.bias is not None:
            logits.add_(self.bias, alpha=factor)
        if soft_cap is not None:
            tanhs = logits.tanh_()
            logits = torch.mul(tanhs, soft_cap, out=memory[1])
        of_right = logits.gather(1, right) if z_loss else None
        probabilities = torch.softmax(logits, 1, out=logits)
        picked = probabilities.gather(1, right)
        losses = -picked.log()
        unlikely = (picked < FEW_DIGITS)[:, 0]
        if bool(unlikely.any()):  # in diverging models; always finding maxima would be slower
            losses[unlikely] = self._compute_in_new_memory(rows[unlikely], right[unlikely]).losses
        log_totals = None if of_right is None else losses + of_right
        return _Chunk(losses, probabilities, tanhs, log_totals)


def _compute_logit_gradient(
    chunk: _Chunk, right: Tensor, weights: Tensor | None, finish: Finish
) -> Tensor:
    """Turn probabilities, in place, into the gradient of the logits before `finish`."""
    gradient = chunk.probabilities
    of_right = torch.full_like(right, finish.scale, dtype=gradient.dtype)
    if weights is not None:
        of_right = of_right * weights
    factors = of_right
    if chunk.log_totals is not None:
        factors = factors * (1 + 2 * finish.z_loss * chunk.log_totals)
    if factors is not of_right or weights is not None or finish.scale != 1:
        gradient.mul_(factors)
    gradient.scatter_add_(1, right, -of_right)
    if chunk.tanhs is not None:
        gradient.addcmul_(gradient, chunk.tanhs.square_(), value=-1)
    return gradient


class _Gradients(NamedTuple):
    rows: Tensor
    weight: Tensor  # summed in float32, like `bias`
    bias: Tensor

    @classmethod
    def zeros(cls, output: _OutputLayer) -> _Gradients:
        wide = loss_dtype(output.rows.dtype)
        n_ids = output.weight.size(0)
        return cls(
            torch.empty_like(output.rows),
            torch.zeros_like(output.weight, dtype=wide),
            output.rows.new_zeros(n_ids if output.bias is not None else 0, dtype=wide),
        )

    def add(self, output: _OutputLayer, here: slice, of_logits: Tensor) -> None:
        """Add the contribution of the rows `here`."""
        narrow = of_logits.to(output.rows.dtype)
        torch.mm(narrow, output.weight, out=self.rows[here])
        if narrow.dtype == self.weight.dtype:
            self.weight.addmm_(narrow.T, output.rows[here])
        else:
            lowered = output.rows[here] / ROOM
            self.weight.add_(narrow.T @ lowered, alpha=ROOM)
        if output.bias is not None:
            self.bias.add_(of_logits.sum(0))


def loss_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that losses are summed in: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32
