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


def chunked_sum(
    rows: Tensor, weight: Tensor, bias: Tensor | None, ids: Tensor, mask: Tensor | None
) -> Tensor:
    """Sum the losses of (N, n_embd) `rows`, in chunks; see `output_loss`."""
    device = rows.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else rows.dtype
    with torch.autocast(device, enabled=False):
        return _ChunkedSum.apply(  # type: ignore[no-untyped-call, no-any-return]
            rows, weight, bias, ids, mask, dtype, torch.is_grad_enabled()
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
        dtype: torch.dtype,
        needs_grad: bool,
    ) -> Tensor:
        output = _OutputLayer(
            rows.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        )
        total = rows.new_zeros((), dtype=loss_dtype(rows.dtype))
        gradients = _Gradients.zeros(output) if needs_grad else None
        for here, losses, probabilities in output.chunks(ids):
            weights = None if mask is None else mask[here, None].to(losses.dtype)
            total += (losses if weights is None else losses * weights).sum()
            if gradients is not None:
                of_logits = _compute_logit_gradient(probabilities, ids[here, None], weights)
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
        return (*scaled, None, None, None, None)


class _Chunk(NamedTuple):
    here: slice  # of the rows
    losses: Tensor  # (n, 1)
    probabilities: Tensor  # (n, vocab_size), valid until the next chunk


class _OutputLayer(NamedTuple):
    rows: Tensor  # (N, n_embd)
    weight: Tensor  # (vocab_size, n_embd), dtype of rows
    bias: Tensor | None  # (vocab_size,), dtype of rows

    def chunks(self, ids: Tensor) -> Iterator[_Chunk]:
        """Yield losses and probabilities of each chunk; each exponential is computed once."""
        count, on_cpu = self.rows.size(0), self.rows.device.type == "cpu"
        size = min(count, CHUNK_ROWS_CPU if on_cpu else CHUNK_ROWS_GPU)
        memory = None
        if on_cpu and self.rows.dtype == loss_dtype(self.rows.dtype):
            # On a CPU, allocating costs more than the products.
            memory = self.rows.new_empty(size, self.weight.size(0))
        for start in range(0, count, size):
            here = slice(start, min(start + size, count))
            rows, right = self.rows[here], ids[here, None]
            if memory is None:
                yield _Chunk(here, *self._compute_in_new_memory(rows, right))
            else:
                yield _Chunk(here, *self._compute_in_place(rows, right, memory[: rows.size(0)]))

    def _compute_in_new_memory(self, rows: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        logits = F.linear(rows, self.weight, self.bias)
        probabilities = logits.softmax(dim=1, dtype=loss_dtype(rows.dtype))
        # The probability of the likeliest id is precise, so the normalizer is derived from it.
        largest, likeliest = logits.max(dim=1, keepdim=True)
        below = largest.to(probabilities.dtype) - logits.gather(1, right)
        return below - probabilities.gather(1, likeliest).log(), probabilities

    def _compute_in_place(
        self, rows: Tensor, right: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits = torch.mm(rows, self.weight.T, out=memory)
        logits = logits if self.bias is None else logits.add_(self.bias)
        probabilities = torch.softmax(logits, 1, out=logits)
        picked = probabilities.gather(1, right)
        losses = -picked.log()
        unlikely = (picked < FEW_DIGITS)[:, 0]
        if bool(unlikely.any()):  # in diverging models; always finding maxima would be slower
            losses[unlikely], _ = self._compute_in_new_memory(rows[unlikely], right[unlikely])
        return losses, probabilities


def _compute_logit_gradient(probabilities: Tensor, right: Tensor, weights: Tensor | None) -> Tensor:
    """Turn probabilities, in place, into the gradient of the logits."""
    minus_one = probabilities.new_full((1, 1), -1.0).expand_as(right)
    gradient = probabilities.scatter_add_(1, right, minus_one)
    return gradient if weights is None else gradient.mul_(weights)


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
