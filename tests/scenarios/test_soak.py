"""Train, kill, resume, migrate, export, damage and look, in random order: nothing is ever lost.

`make test` does a few acts; `make soak` goes on for two hours, or for MYPT_SOAK_S seconds, by the
seed MYPT_SOAK_SEED, which is drawn and printed. What fails leaves the folder and its journal. A
seed draws the same acts again as far as they end alike: what comes "late" comes by the clock.
"""

import os
import random
import sys

import pytest

from tests.support.soak.soak import soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_nothing_is_lost_in_a_few_acts(tmp_path):
    soak(tmp_path, 14, acts=3)


@pytest.mark.slow
def test_nothing_is_lost_in_hours(tmp_path):
    seed = int(os.environ.get("MYPT_SOAK_SEED") or random.SystemRandom().randrange(10**6))
    sys.stdout.write(f"seed {seed}, in {tmp_path}\n")
    soak(tmp_path, seed, seconds=float(os.environ.get("MYPT_SOAK_S") or 7200))
