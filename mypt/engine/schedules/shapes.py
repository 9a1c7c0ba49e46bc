"""The forms in which a quantity falls from 1 to 0 while progress rises from 0 to 1."""

from __future__ import annotations

import math


def half_cosine(progress: float) -> float:
    """Fall as half a cosine.

    Source: Loshchilov and Hutter 2017 (SGDR), equation 5 without restarts.
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


def straight_line(progress: float) -> float:
    """Fall evenly."""
    return 1 - progress


def one_minus_sqrt(progress: float) -> float:
    """Fall steeply at first.

    Source: Hägele et al. 2024 (Scaling laws and compute-optimal training beyond fixed training
    durations), section 3.
    """
    return 1 - math.sqrt(progress)
