from fractions import Fraction

import numpy as np
import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.int64(8), 8),
        (np.uint8(8), 8),
        (np.float32(0.5), 0.5),
        (Fraction(1, 4), 0.25),
        (True, True),
        (2, 2),
        (0.5, 0.5),
        ("x", "x"),
        (None, None),
    ],
)
def test_a_document_has_numbers_of_python(given, plain):
    for found in (GPTConfig(n_layer=given).n_layer, TrainingConfig(max_iters=given).max_iters):
        assert found == plain
        assert type(found) is type(plain)
