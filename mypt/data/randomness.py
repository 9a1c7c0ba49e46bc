"""Randomness as a pure function of (seed, purpose, step, micro_step).

There is no generator state to save: a resumed run computes the numbers that an uninterrupted run
would have drawn. Only the raw output of numpy's Philox is used, which numpy promises never to
change; what `Generator` derives from it may change (NEP 19).

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Purpose(IntEnum):
    """What numbers are drawn for. A value never changes and is never reused."""

    TRAIN_BATCH = 1  # starts of the training windows of a micro step
    EVAL_TRAIN = 2  # starts of evaluation windows, training split; the step is the batch's index
    EVAL_VAL = 3  # the same, validation split
    EVAL_SET = 4  # the same, a further evaluation set
    DROPOUT = 5  # seed of torch's generators in a micro step
    INIT = 6  # seed of torch's generator when a new model gets its weights
    SAMPLE = 7  # draws of a continuation; step: digest of the prompt; micro_step: which sample
    EPOCH_ORDER = 8  # keys of the order of an epoch; the step is the epoch


def uniform(
    seed: int, purpose: Purpose, step: int, micro_step: int, size: int
) -> NDArray[np.float64]:
    """Draw from the uniform distribution on [0, 1), in multiples of 2 ** -53.

    Args:
        seed: 0 ... 2 ** 64 - 1.
        purpose: What the numbers are for; each purpose has its own stream.
        step: 0 ... 2 ** 64 - 1.
        micro_step: 0 ... 2 ** 64 - 1.
        size: Number of draws. A shorter draw is a prefix of a longer one.

    Returns:
        (size,) float64.
    """
    raw = words(seed, purpose, step, micro_step, size)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def torch_seed(seed: int, purpose: Purpose, step: int, micro_step: int) -> int:
    """Return a seed for `torch.manual_seed`, in 0 ... 2 ** 63 - 1."""
    return int(words(seed, purpose, step, micro_step, 1)[0] >> np.uint64(1))


def words(seed: int, purpose: Purpose, step: int, micro_step: int, size: int) -> NDArray[np.uint64]:
    """Return the raw output of Philox4x64-10, (size,) uint64; arguments as in `uniform`.

    The lowest word of the counter counts the blocks within one draw, so draws never overlap.
    """
    key = np.array([seed, purpose], dtype=np.uint64)
    counter = np.array([0, micro_step, step, 0], dtype=np.uint64)
    raw: NDArray[np.uint64] = np.random.Philox(key=key, counter=counter).random_raw(size)
    return raw
