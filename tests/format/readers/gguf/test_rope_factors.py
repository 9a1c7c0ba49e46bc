import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mypt.format.documents.config import GPTConfig
from mypt.format.readers.gguf.rope_factors import find_scaling, list_factors

LLAMA31 = {
    "kind": "llama3",
    "factor": 8.0,
    "original_block_size": 8192,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}


def list_of(scaling, base=500000.0, size=128):
    config = GPTConfig(
        pos_encoding="rope", rope_theta=base, head_size=size, rope_scaling=scaling, block_size=2**17
    )
    return list_factors(config, config.rope_scaling)


@pytest.mark.parametrize("changed", [{}, {"factor": 32.0}, {"original_block_size": 1000}])
def test_the_usual_rule_is_found_by_its_numbers(changed):
    scaling = LLAMA31 | changed
    assert find_scaling(list_of(scaling), 500000.0) == scaling


@given(
    low=st.floats(0.5, 2),
    ratio=st.floats(1.5, 8),
    factor=st.integers(2, 32),
    original=st.integers(16, 20000),
    base=st.sampled_from([1e4, 5e5]),
    size=st.sampled_from([8, 64, 128]),
)
def test_another_rule_is_found_by_one_that_divides_alike(low, ratio, factor, original, base, size):
    scaling = LLAMA31 | {
        "low_freq_factor": low,
        "high_freq_factor": low * ratio,
        "factor": float(factor),
        "original_block_size": original,
    }
    factors = list_of(scaling, base, size)
    found = find_scaling(factors, base)
    if found is None:  # where no frequency is divided by all of the factor, nothing tells it
        assert not math.isclose(max(factors), factor, rel_tol=1e-4) or len(set(factors)) < 3
        return
    for one, other in zip(list_of(found, base, size), factors, strict=True):
        assert math.isclose(one, other, rel_tol=3e-6)


@pytest.mark.parametrize("factors", [[], [0.5, 1.0], [1.0, math.inf], [1.0, 3.0, 2.0, 4.0]])
def test_divisors_of_no_such_rule_are_not_explained(factors):
    assert find_scaling(factors, 10000.0) is None


def test_divisors_of_one_are_a_rule_that_changes_nothing():
    assert find_scaling([1.0] * 4, 10000.0)["factor"] == 1


@pytest.mark.parametrize("base", [math.nan, -1.0, 0.0, math.inf, 1e308])
def test_a_base_that_no_model_has_is_not_explained(base):
    assert find_scaling([1.0, 1.5, 2.0, 4.0], base) is None
