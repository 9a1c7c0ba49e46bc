import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mypt.data.randomness import Purpose, torch_seed, uniform

WORD = st.integers(0, 2**64 - 1)
MASK = 2**64 - 1


def philox4x64(counter, key):
    """Philox4x64-10 as its authors define it (Salmon et al. 2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(b >> 64) ^ c[1] ^ k[0], b & MASK, (a >> 64) ^ c[3] ^ k[1], a & MASK]
        k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
    return c


def test_the_reference_gives_the_published_answers():
    assert philox4x64([0] * 4, [0] * 2)[0] == 0x16554D9ECA36314C
    assert philox4x64([MASK] * 4, [MASK] * 2)[0] == 0x87B092C3013FE90B


@given(WORD, st.sampled_from(Purpose), WORD, WORD)
def test_numbers_are_philox_keyed_by_seed_and_purpose(seed, purpose, step, micro_step):
    # numpy counts up before it computes, so the first block is number 1
    blocks = [philox4x64([i, micro_step, step, 0], [seed, purpose]) for i in (1, 2)]
    expected = [(word >> 11) / 2**53 for block in blocks for word in block]
    assert uniform(seed, purpose, step, micro_step, 8).tolist() == expected
    assert torch_seed(seed, purpose, step, micro_step) == blocks[0][0] >> 1


def test_purposes_keep_their_numbers():
    numbers = {purpose.name: purpose.value for purpose in Purpose}
    assert numbers == {
        "TRAIN_BATCH": 1,
        "EVAL_TRAIN": 2,
        "EVAL_VAL": 3,
        "EVAL_SET": 4,
        "DROPOUT": 5,
        "INIT": 6,
        "SAMPLE": 7,
        "EPOCH_ORDER": 8,
    }


def test_golden_numbers():
    assert uniform(1337, Purpose.TRAIN_BATCH, 0, 0, 4).tolist() == [
        0.5183563288539731,
        0.7867645200068585,
        0.962774487720172,
        0.10300430498359203,
    ]
    assert uniform(2**63 - 1, Purpose.INIT, 2**40, 0, 2).tolist() == [
        0.17846987396347103,
        0.5797033246356489,
    ]
    assert [torch_seed(1337, purpose, 3, 1) for purpose in Purpose] == [
        3719117532422391878,
        4480542960569376448,
        4834003183737981093,
        683744178493076029,
        680958524546783936,
        7232899306120392218,
        8743137784839090122,
        8869146082401932848,
    ]


def test_a_short_draw_is_the_beginning_of_a_long_one():
    long = uniform(5, Purpose.TRAIN_BATCH, 9, 2, 100)
    assert (uniform(5, Purpose.TRAIN_BATCH, 9, 2, 31) == long[:31]).all()


def test_every_coordinate_matters():
    draws = {
        tuple(uniform(seed, purpose, step, micro_step, 4))
        for seed in (0, 1)
        for purpose in Purpose
        for step in (0, 1)
        for micro_step in (0, 1)
    }
    assert len(draws) == 2 * len(Purpose) * 2 * 2


def test_types_and_ranges():
    numbers = uniform(0, Purpose.INIT, 0, 0, 100_000)
    assert numbers.dtype == np.float64
    assert numbers.min() >= 0
    assert numbers.max() < 1


@pytest.mark.parametrize("n", [1, 2, 3, 10**9 + 7, 2**32, 2**52 + 1, 2**53 - 1, 2**53])
def test_the_largest_number_stays_below_n(n):
    assert int(np.float64(1 - 2**-53) * n) == n - 1


def test_numbers_are_spread_evenly():
    n, draws = 50, 200_000
    counts = np.bincount(
        (uniform(3, Purpose.TRAIN_BATCH, 0, 0, draws) * n).astype(int), minlength=n
    )
    chi_square = float(((counts - draws / n) ** 2 / (draws / n)).sum())
    assert 20 < chi_square < 95  # 49 degrees of freedom: either end has odds below 1 in 5000


def test_first_numbers_of_successive_steps_are_independent():
    first = np.array([uniform(3, Purpose.TRAIN_BATCH, step, 0, 1)[0] for step in range(5000)])
    assert abs(first.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.06


def test_torch_takes_the_seeds():
    for step in range(20):
        seed = torch_seed(2**63 - 1, Purpose.DROPOUT, step, 0)
        assert 0 <= seed < 2**63
        torch.Generator().manual_seed(seed)
