"""How likely answers are to the model that preferences are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mypt.model.mode import evaluation_mode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mypt.data.batches.episodes import EpisodeSource
    from mypt.model.transformer import Transformer

# Answers at once, which bounds the memory.
ROWS = 8


@torch.inference_mode()
def measure_answers(model: Transformer, answers: EpisodeSource) -> NDArray[np.float32]:
    """Measure the log-likelihood of the targets of each episode, without dropout.

    Args:
        model: The model; its mode is what it was afterwards.
        answers: The episodes, each with a target within block_size.

    Returns:
        (E,), in nats.
    """
    block_size, count = model.config.block_size, answers.episodes
    device = next(model.parameters()).device
    measured = []
    with evaluation_mode(model):
        for first in range(0, count, ROWS):
            numbers = np.arange(first, min(first + ROWS, count))
            batch = answers.take(numbers, block_size).to(device)
            measured.append(model.log_likelihoods(batch.x, batch.y, batch.mask).float().cpu())
    return torch.cat(measured).numpy()
