"""The updates of nanochat's optimizer.

Sources: Loshchilov and Hutter 2019 (AdamW); Jordan et al. 2024 (Muon: orthogonalized momentum);
Amsel et al. 2025, arXiv 2505.16932 (Polar Express: the polynomials); arXiv 2603.28254 (MuonEq:
equal rows before); arXiv 2602.21545 (Muon+: the norm after); arXiv 2510.05491 (NorMuon: division by
the mean squares of neurons); Chen et al. 2025 (weight decay where the update shrinks, too).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mypt_nanochat.optimizer.groups import SETTINGS, list_groups, name_square

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn

    from mypt.plugins import TrainingConfig

# Polynomials a x + b x^3 + c x^5 of Polar Express for five iterations, with its safety factor 0.02.
_POLYNOMIALS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
_MARGIN = 1.01  # singular values must not exceed 1
_LEAST_NORM, _LEAST_SQUARE = 1e-6, 1e-10
_MATRIX = (-2, -1)


def build(parameters: Mapping[str, nn.Parameter], training: TrainingConfig) -> MuonAdamW:
    """Build the optimizer of a run."""
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    return MuonAdamW(
        {"params": [parameters[name] for name in group.names], **group.settings}
        for group in list_groups(shapes, training)
    )


class MuonAdamW(torch.optim.Optimizer):
    """AdamW for groups without momentum, and Muon for the others, whose parameters are matrices."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        """Take groups with the settings of `list_groups`."""
        super().__init__(groups, dict.fromkeys(SETTINGS))

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            held = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["momentum"] is None:
                for parameter in held:
                    self._update_by_adamw(parameter, group)
            else:
                self._update_matrices(held, group)

    def _update_by_adamw(self, parameter: Tensor, group: Mapping[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(parameter) for _ in range(2))
        state["step"] += 1
        # In the arithmetic of nanochat's scalars, so that what it began goes on with equal bits.
        rate, decay, eps, beta1, beta2, step = torch.tensor(
            [group["lr"], group["weight_decay"], group["eps"], *group["betas"], state["step"]]
        ).unbind()
        mean = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].lerp_(gradient.square(), 1 - beta2)
        scale = (square / (1 - beta2**step)).sqrt() + eps
        parameter.mul_(1 - rate * decay)
        parameter.add_(mean / scale, alpha=-float(rate / (1 - beta1**step)))

    def _update_matrices(self, held: Sequence[Tensor], group: Mapping[str, Any]) -> None:
        parts = group["parts"]
        stacks: dict[tuple[int, ...], list[tuple[Tensor, ...]]] = {}
        for parameter in held:
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            columns = parameter.size(1)
            split = zip(
                *(t.split(parts) for t in (parameter, parameter.grad, state["momentum"])),
                strict=True,
            )
            for number, matrices in enumerate(split):
                rows, key = parts[number], name_square(number)
                if key not in state:
                    state[key] = parameter.new_zeros((rows, 1) if rows >= columns else (1, columns))
                stacks.setdefault((rows, columns), []).append((*matrices, state[key]))
        for stack in stacks.values():
            _update_stack(stack, group)


def _update_stack(stack: Sequence[tuple[Tensor, ...]], group: Mapping[str, Any]) -> None:
    """Update matrices of one shape, (rows, columns), in place.

    Args:
        stack: Of each its weights, gradient and momentum, (rows, columns), and its mean squares,
            (rows, 1) or (1, columns).
        group: The settings.
    """
    weights, gradient, momentum, squares = map(torch.stack, zip(*stack, strict=True))
    rows, columns = weights.shape[-2:]
    momentum.lerp_(gradient, 1 - group["momentum"])
    ahead = gradient.lerp(momentum, group["momentum"])  # Nesterov's
    dtype = getattr(torch, group["precision"])
    update = orthogonalize(ahead.to(dtype), group["iterations"]).to(weights.dtype)
    update = update * (math.sqrt(min(rows, columns)) / _norm(update)).to(update.dtype)
    update = _divide_by_squares(update, squares, group["beta2"])
    rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
    shrinks = update * weights >= 0  # weights that the update makes smaller already
    weights.sub_(rate * update + rate * group["weight_decay"] * weights * shrinks)
    for (weight, _, kept, square), *new in zip(stack, weights, momentum, squares, strict=True):
        for old, value in zip((weight, kept, square), new, strict=True):
            old.copy_(value)


def orthogonalize(x: Tensor, iterations: int) -> Tensor:
    """Return matrices near their nearest orthogonal ones, with rows made equally long first.

    Args:
        x: Matrices, (count, rows, columns).
        iterations: How many of the polynomials are applied, 1 to 5.
    """
    lengths = x.float().norm(dim=-1, keepdim=True).clamp_min(_LEAST_NORM)
    usual = x.float().norm(dim=_MATRIX, keepdim=True) / math.sqrt(x.size(-2))
    x = x * (usual / lengths).to(x.dtype)
    x = x / (x.norm(dim=_MATRIX, keepdim=True) * _MARGIN + _LEAST_NORM)
    is_tall = x.size(-2) > x.size(-1)
    x = x.mT if is_tall else x  # the smaller of the two squares is multiplied
    for a, b, c in _POLYNOMIALS[:iterations]:
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.mT if is_tall else x


def _divide_by_squares(update: Tensor, squares: Tensor, beta2: float) -> Tensor:
    """Divide neurons by the roots of their mean squares; the norm of a matrix stays.

    Args:
        update: Updates, (count, rows, columns).
        squares: Mean squares so far, (count, rows, 1) or (count, 1, columns); changed in place.
        beta2: Their decay.
    """
    along = -1 if squares.size(-1) == 1 and update.size(-2) >= update.size(-1) else -2
    now = update.float().square().mean(dim=along, keepdim=True)
    squares.lerp_(now.to(squares.dtype), 1 - beta2)
    scale = squares.clamp_min(_LEAST_SQUARE).rsqrt()
    before = now.sum(dim=_MATRIX, keepdim=True).sqrt()
    after = (now * scale.float().square()).sum(dim=_MATRIX, keepdim=True).sqrt()
    ratio = before / after.clamp_min(_LEAST_SQUARE / math.sqrt(update.size(along)))
    return update * (scale * ratio).to(update.dtype)


def _norm(x: Tensor) -> Tensor:
    """Return the Frobenius norms of matrices, (count, 1, 1)."""
    return x.float().norm(dim=_MATRIX, keepdim=True).clamp_min(_LEAST_NORM)
