"""The loss of each position that training makes small, and its gradient."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.plugins.contracts.training import TokenLoss

    Differentiate = Callable[[Tensor, Tensor, Tensor | None, "Finish"], tuple[Tensor, Tensor]]


@frozen
class CrossEntropy:
    """The loss `cross_entropy`; mypt computes it and its gradient in closed form, in chunks.

    Attributes:
        z_loss: Factor of the squared logarithm of the softmax's denominator, which is added to the
            loss of each position. Source: Chowdhery et al. 2022 (PaLM), section 5.
        label_smoothing: Part of each target, 0 to 1, that is spread over all ids alike. Source:
            Szegedy et al. 2016, "Rethinking the Inception architecture", section 7.
    """

    z_loss: float = 0.0
    label_smoothing: float = 0.0

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the losses of (N, vocab_size) logits for (N,) targets, (N,)."""
        losses = F.cross_entropy(
            logits, targets, reduction="none", label_smoothing=self.label_smoothing
        )
        return losses + self.z_loss * logits.logsumexp(dim=1).square() if self.z_loss else losses


@frozen
class IsolatedLoss:
    """The loss of a plugin; what fails in it, or in its gradient, names the plugin."""

    token_loss: TokenLoss
    isolate: Callable[[Differentiate], Differentiate]

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the losses of (N, vocab_size) logits for (N,) targets, (N,)."""
        return self.token_loss(logits, targets)

    def differentiate(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None, finish: Finish
    ) -> tuple[Tensor, Tensor]:
        """Return losses and the gradient of the logits; see `differentiate`.

        Raises:
            PluginError: It fails, or is not what the contract demands.
        """
        isolated = self.isolate(partial(_differentiate, self.token_loss))
        return isolated(logits, targets, weights, finish)


class Finish(NamedTuple):
    """What is done to the logits and their loss; see `mypt.plugins.output_loss`.

    Attributes:
        scale: Factor of the logits.
        soft_cap: Bounds the scaled logits; None leaves them as they are.
        z_loss: Factor of the z-loss.
        label_smoothing: Part of the targets that is spread over all ids.
        token_loss: Another loss instead of the cross entropy, to be differentiated by autograd.
    """

    scale: float = 1.0
    soft_cap: float | None = None
    z_loss: float = 0.0
    label_smoothing: float = 0.0
    token_loss: TokenLoss | None = None


def finish_logits(logits: Tensor, scale: float, soft_cap: float | None) -> Tensor:
    """Return logits of any shape multiplied by `scale` and then bounded; see `output_loss`."""
    scaled = logits if scale == 1 else logits * scale
    return scaled if soft_cap is None else (scaled / soft_cap).tanh() * soft_cap


def differentiate(
    logits: Tensor, targets: Tensor, weights: Tensor | None, finish: Finish
) -> tuple[Tensor, Tensor]:
    """Return the losses of some positions, and the gradient of their weighted sum, by autograd.

    Args:
        logits: As the matrix product makes them, (n, vocab_size), float32 or float64.
        targets: The ids to predict, (n,) int64.
        weights: Weights of the losses, (n,), which the gradient includes; None for 1.
        finish: Its `token_loss` is what is differentiated.

    Returns:
        (n,) and (n, vocab_size), in the dtype of the logits; neither is part of a graph.

    Raises:
        PluginError: The loss is a plugin's, and fails or violates its contract.
        TypeError: Another loss violates it.
        ValueError: So do its values.
    """
    token_loss = finish.token_loss
    if isinstance(token_loss, IsolatedLoss):
        return token_loss.differentiate(logits, targets, weights, finish)
    return _differentiate(token_loss or CrossEntropy(), logits, targets, weights, finish)


def _differentiate(
    token_loss: TokenLoss,
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    finish: Finish,
) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        finished = finish_logits(leaf, finish.scale, finish.soft_cap)
        losses = _require_losses(token_loss(finished, targets), targets).to(leaf.dtype)
        if finish.z_loss:
            losses = losses + finish.z_loss * finished.logsumexp(dim=1).square()
        total = losses.sum() if weights is None else losses @ weights
        (gradient,) = torch.autograd.grad(total, leaf)
    losses = losses.detach()
    _require_numbers(logits, losses, gradient)
    return losses, gradient


def _require_losses(made: object, targets: Tensor) -> Tensor:
    wanted = tuple(targets.shape)
    if not isinstance(made, Tensor):
        message = f"it returns {type(made).__name__}, not a tensor of shape {wanted}"
        raise TypeError(message)
    if made.shape != targets.shape:
        message = f"it returns shape {tuple(made.shape)}, not {wanted}: a loss for each target"
        raise TypeError(message)
    if not made.requires_grad:
        message = "it returns losses that have no gradient"
        raise TypeError(message)
    return made


def _require_numbers(logits: Tensor, losses: Tensor, gradient: Tensor) -> None:
    """Raise if finite logits have a loss or a gradient that is not; a GPU would have to wait."""
    if logits.device.type != "cpu":
        return
    for name, found in (("loss", losses), ("gradient", gradient)):
        if not found.sum().isfinite() and not found.isfinite().all() and logits.isfinite().all():
            kind = "NaN" if found.isnan().any() else "infinite"
            message = f"its {name} is {kind} for logits that are finite"
            raise ValueError(message)
