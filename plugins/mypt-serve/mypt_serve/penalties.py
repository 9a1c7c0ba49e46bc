"""`presence_penalty` and `frequency_penalty`, as OpenAI's API defines them.

Source: the API's guide, "Frequency and presence penalties": a token's logit loses the first if the
text has it, and the second for each time that it has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from mypt.plugins import BeginText, LogitProcessor


def begin_penalties(presence: float, frequency: float) -> BeginText:
    """Return what makes the processor of a text; the tokens of its prompt do not count."""

    def begin(_: Sequence[int]) -> LogitProcessor:
        counts: dict[int, int] = {}
        n_seen = 0

        def penalize(logits: Tensor, ids: Sequence[int]) -> Tensor:
            nonlocal n_seen
            for number in ids[n_seen:]:
                counts[number] = counts.get(number, 0) + 1
            n_seen = len(ids)
            if counts:
                losses = [presence + frequency * count for count in counts.values()]
                logits[[*counts]] -= torch.tensor(losses, device=logits.device)
            return logits

        return penalize

    return begin
