"""Check a training loss: of each position alone, differentiable, finite for all logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mypt.plugins.contracts.training import LossFactory
from mypt.plugins.nn.token_loss import Finish, differentiate
from mypt.testing.expectations import check_fields, check_options, checking_results, during, expect
from mypt.testing.updates import check_current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from mypt.plugins.contracts.training import TokenLoss

_POSITIONS, _IDS = 12, 17
# Logits of a new model, of a trained one, and of one that is all but certain.
_SCALES = (0.1, 3.0, 300.0)


@during("the loss")
def check_loss(factory: LossFactory, options: Mapping[str, Any] | None = None) -> Tensor:
    """Check that a loss can be computed a few positions at a time, and that its gradient is sound.

    Args:
        factory: As the plugin offers it.
        options: What a run gives as `loss_options`.

    Returns:
        The losses of 12 positions over 17 ids, (12,) float64, of logits as a trained model has
        them; whether they are right is up to the caller.

    Raises:
        ContractError: The loss violates its contract.
    """
    given = dict(options or {})
    check_fields(factory, LossFactory)
    check_options(factory, given)
    check_current(factory, given)
    loss = checking_results(factory).build(given)
    for scale in _SCALES:
        for dtype in (torch.float32, torch.float64):
            _check_positions(loss, *_make_logits(scale, dtype))
    logits, targets = _make_logits(_SCALES[1], torch.float64)
    return _differentiate(loss, logits, targets)[0]


def _make_logits(scale: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(_POSITIONS, _IDS, generator=chance, dtype=torch.float64)
    targets = torch.randint(_IDS, (_POSITIONS,), generator=chance)
    targets[: _POSITIONS // 2] = logits.argmax(1)[: _POSITIONS // 2]  # some are predicted rightly
    return logits.to(dtype), targets


def _check_positions(loss: TokenLoss, logits: Tensor, targets: Tensor) -> None:
    before = logits.clone(), targets.clone()
    losses, gradient = _differentiate(loss, logits, targets)
    same = torch.equal(before[0], logits) and torch.equal(before[1], targets)
    expect(same, "it changes the logits or the targets that it receives")
    again, _ = _differentiate(loss, logits, targets)
    expect(torch.equal(losses, again), "called twice it returns other losses")
    for part in (slice(0, 1), slice(3, 8), slice(8, None)):
        alone, of_part = _differentiate(loss, logits[part], targets[part])
        is_alone = torch.allclose(alone, losses[part]) and torch.allclose(of_part, gradient[part])
        expect(
            is_alone,
            "the loss of a position depends on the other positions of a call, which are any part "
            "of a batch",
        )


def _differentiate(loss: TokenLoss, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    with during(f"a call with logits up to {float(logits.abs().max()):.3g}"):
        return differentiate(logits, targets, None, Finish(token_loss=loss))
