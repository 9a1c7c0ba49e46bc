"""A permutation of n items as a pure function of a key; any part costs only that part.

A Feistel network is a permutation of the 2h-bit numbers, whatever its round function. A result of n
or more goes through it again until it is below n ("cycle walking"), which leaves a permutation of
0 ... n - 1. There are at most four times as many numbers as items, so few passes are needed. No
list of n numbers is ever made.

Source: Luby and Rackoff 1988, "How to construct pseudorandom permutations from pseudorandom
functions"; Black and Rogaway 2002, "Ciphers with arbitrary finite domains". The round function is
the finalizer of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators"), its keys come from Philox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mypt.data.randomness import Purpose, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDS = 8


def shuffle_epochs(
    places: NDArray[np.int64], n: int, seed: int, stream: int = 0
) -> NDArray[np.int64]:
    """Return the items at the given positions of an endless sequence of epochs over n items.

    Args:
        places: (B,) int64, from 0 on.
        n: Number of items.
        seed: Seed of the run.
        stream: Which of the orders of that seed.
    """
    epochs = places // n
    things = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        things[here] = permute(places[here] - epoch * n, n, seed, int(epoch), stream)
    return things


def permute(
    places: NDArray[np.int64], n: int, seed: int, epoch: int, stream: int = 0
) -> NDArray[np.int64]:
    """Return which of n items come at the given positions of an epoch's order.

    Args:
        places: (B,) int64, each in 0 ... n - 1.
        n: Number of items, 1 ... 2 ** 62.
        seed: Seed of the run.
        epoch: Number of the epoch; each has its own order.
        stream: Which of the orders of that seed and epoch.

    Returns:
        (B,) int64, each in 0 ... n - 1. Over all positions, each item appears once.
    """
    half_bits = max(1, ((n - 1).bit_length() + 1) // 2)
    keys = words(seed, Purpose.EPOCH_ORDER, epoch, stream, _ROUNDS)
    things = _apply_feistel(places.astype(np.uint64), half_bits, keys)
    while (outside := things >= n).any():
        things[outside] = _apply_feistel(things[outside], half_bits, keys)
    return things.astype(np.int64)


def _apply_feistel(
    numbers: NDArray[np.uint64], half_bits: int, keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = numbers >> shift, numbers & mask
    for key in keys:
        left, right = right, left ^ (_mix_bits(right ^ key) & mask)
    return left << shift | right


def _mix_bits(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the finalizer of SplitMix64 to each number."""
    numbers = (numbers ^ numbers >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ numbers >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return numbers ^ numbers >> np.uint64(31)
