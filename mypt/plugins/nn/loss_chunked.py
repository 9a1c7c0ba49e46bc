"""Sum cross entropies one chunk of rows at a time, with the gradients in the same pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mypt.plugins.nn.token_loss import differentiate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.plugins.nn.token_loss import Finish


# Rows of logits per chunk: few enough for the cache of a CPU, enough to keep a GPU busy.
CHUNK_ROWS_CPU = 512


CHUNK_ROWS_GPU = 4096


# Values per thread that stay in the cache of a CPU's core.
CACHED_VALUES = 1 << 17


# Smaller probabilities come close to the smallest float32, and so lose digits.
FEW_DIGITS = 1e-30


# Thousands of rows with one target id can sum to more than fp16 holds; a power of 2 costs no digit.
ROOM = 64


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
        weights = None if mask is None else mask[:, None].to(total.dtype)
        gradients = _Gradients.zeros(output) if needs_grad else None
        for here, losses, of_logits in output.chunks(ids[:, None], weights, needs_grad):
            total += (losses if weights is None else losses * weights[here]).sum()
            if gradients is not None:
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


class _OutputLayer(NamedTuple):
    rows: Tensor  # (N, n_embd)
    weight: Tensor  # (vocab_size, n_embd), dtype of rows
    bias: Tensor | None  # (vocab_size,), dtype of rows
    finish: Finish

    def chunks(
        self, ids: Tensor, weights: Tensor | None, needs_grad: bool
    ) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Compute some rows at a time; each exponential is computed once.

        Args:
            ids: Target ids, (N, 1).
            weights: Weights of the losses, (N, 1), which their gradients include.
            needs_grad: Whether gradients are wanted.

        Yields:
            n of the rows, their losses (n, 1), and the gradient of their logits as the matrix
            product makes them, (n, vocab_size), valid until the next chunk.
        """
        count, on_cpu = self.rows.size(0), self.rows.device.type == "cpu"
        size = min(count, CHUNK_ROWS_CPU if on_cpu else CHUNK_ROWS_GPU)
        memory = None
        is_wide = self.rows.dtype == loss_dtype(self.rows.dtype)
        if on_cpu and is_wide and self.finish.token_loss is None:
            # On a CPU, allocating costs more than the products.
            memory = self.rows.new_empty(size, self.weight.size(0))
        for start in range(0, count, size):
            here = slice(start, min(start + size, count))
            targets = _Targets(ids[here], None if weights is None else weights[here], needs_grad)
            rows = self.rows[here]
            if self.finish.token_loss is not None:
                yield here, *self._compute_by_autograd(rows, targets)
            elif memory is None:
                yield here, *self.compute_in_new_memory(rows, targets)
            else:
                yield here, *self._compute_in_place(rows, targets, memory[: rows.size(0)])

    def compute_in_new_memory(self, rows: Tensor, targets: _Targets) -> tuple[Tensor, Tensor]:
        """Return losses, and the gradient of the logits."""
        scale, soft_cap, z_loss, smoothing, _ = self.finish
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
        of_right = logits.gather(1, targets.ids)
        losses = largest.to(wide) - of_right - log_share
        log_totals = largest.to(wide) - log_share if z_loss else None
        if smoothing:
            losses = losses + smoothing * (of_right - logits.mean(1, keepdim=True, dtype=wide))
        return self._add_gradient(losses, probabilities, targets, tanhs, log_totals)

    def _compute_by_autograd(self, rows: Tensor, targets: _Targets) -> tuple[Tensor, Tensor]:
        """Return losses, and the gradient of the logits, where only the loss itself is known."""
        logits = F.linear(rows, self.weight, self.bias).to(loss_dtype(rows.dtype))
        weights = None if targets.weights is None else targets.weights[:, 0]
        losses, gradient = differentiate(logits, targets.ids[:, 0], weights, self.finish)
        return losses[:, None], gradient

    def _compute_in_place(
        self, rows: Tensor, targets: _Targets, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        scale, soft_cap = self.finish.scale, self.finish.soft_cap
        factor = scale if soft_cap is None else scale / soft_cap
        logits = torch.mm(rows if factor == 1 else rows * factor, self.weight.T, out=memory)
        if self.bias is not None:
            logits.add_(self.bias, alpha=factor)
        if soft_cap is None:
            return self._finish_in_place(logits, rows, targets, None)[0], logits
        # A few rows at a time stay in the cache of the CPU from the first operation to the last.
        size = max(1, CACHED_VALUES * torch.get_num_threads() // logits.size(1))
        tanhs = memory.new_empty(size, logits.size(1))
        losses: list[Tensor] = []
        for start in range(0, len(logits), size):
            few = slice(start, start + size)
            held = logits[few]
            bounded = torch.tanh(held, out=tanhs[: len(held)])
            torch.mul(bounded, soft_cap, out=held)
            losses.append(self._finish_in_place(held, rows[few], targets.at(few), bounded)[0])
        return torch.cat(losses), logits

    def _finish_in_place(
        self, logits: Tensor, rows: Tensor, targets: _Targets, tanhs: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return losses, and turn logits into their gradient."""
        z_loss, smoothing = self.finish.z_loss, self.finish.label_smoothing
        of_right = logits.gather(1, targets.ids) if z_loss or smoothing else None
        means = logits.mean(1, keepdim=True) if smoothing else None
        probabilities = torch.softmax(logits, 1, out=logits)
        picked = probabilities.gather(1, targets.ids)
        losses = -picked.log()
        unlikely = (picked < FEW_DIGITS)[:, 0]
        if bool(unlikely.any()):  # in diverging models; always finding maxima would be slower
            plain = self._replace(finish=self.finish._replace(z_loss=0.0, label_smoothing=0.0))
            again = _Targets(targets.ids[unlikely], None, needs_grad=False)
            losses[unlikely], _ = plain.compute_in_new_memory(rows[unlikely], again)
        log_totals = losses + of_right if z_loss and of_right is not None else None
        if of_right is not None and means is not None:
            losses = losses + smoothing * (of_right - means)
        return self._add_gradient(losses, probabilities, targets, tanhs, log_totals)

    def _add_gradient(
        self,
        losses: Tensor,
        probabilities: Tensor,
        targets: _Targets,
        tanhs: Tensor | None,
        log_totals: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return losses with the z-loss, and the gradient in the memory of the probabilities.

        Args:
            losses: Cross entropies, (n, 1), of smoothed targets where they are.
            probabilities: Softmax of the finished logits, (n, vocab_size).
            targets: The targets of these rows.
            tanhs: What the soft cap was multiplied by, (n, vocab_size), overwritten.
            log_totals: Logarithms of the softmax's denominators, (n, 1), for a z-loss.
        """
        scale, z_loss, smoothing = (
            self.finish.scale,
            self.finish.z_loss,
            self.finish.label_smoothing,
        )
        z_losses = None if log_totals is None else z_loss * log_totals
        if targets.needs_grad:
            of_right = torch.full_like(losses, scale)
            if targets.weights is not None:
                of_right = of_right * targets.weights
            factors = of_right if z_losses is None else of_right * (1 + 2 * z_losses)
            if scale != 1 or targets.weights is not None or z_losses is not None:
                probabilities.mul_(factors)
            probabilities.scatter_add_(1, targets.ids, of_right * (smoothing - 1))
            if smoothing:
                probabilities.sub_(of_right * (smoothing / probabilities.size(1)))
            if tanhs is not None:
                probabilities.addcmul_(probabilities, tanhs.square_(), value=-1)
        if z_losses is not None and log_totals is not None:
            losses = losses + z_losses * log_totals
        return losses, probabilities


class _Targets(NamedTuple):
    """What the losses of some rows are computed from, besides their logits."""

    ids: Tensor  # (n, 1)
    weights: Tensor | None  # (n, 1)
    needs_grad: bool

    def at(self, rows: slice) -> _Targets:
        """Return those of some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        return _Targets(self.ids[rows], weights, self.needs_grad)


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
