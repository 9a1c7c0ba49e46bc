"""Scaled frequencies are those of the formulas of the specification, one number at a time."""

import math

import pytest
import torch

from mypt.format.documents.config import GPTConfig
from mypt.model.parts.rope_frequencies import rotary_table

N = 32  # the original length
SIZES = {"n_embd": 64, "n_head": 2, "block_size": 4 * N, "pos_encoding": "rope"}
BASE = {"factor": 4.0, "original_block_size": N}
LLAMA3 = {"kind": "llama3", **BASE, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"kind": "yarn", **BASE}
DYNAMIC = {"kind": "dynamic", **BASE}


def plain(i, r, base, _, __):
    return base ** (-2 * i / r)


def dynamic(i, r, base, s, length):
    if length <= N:
        return plain(i, r, base, s, length)
    longer = base * ((s["factor"] * length / N) - (s["factor"] - 1)) ** (r / (r - 2))
    return 1 / longer ** (2 * i / r)


def llama3(i, r, base, s, length):
    f = plain(i, r, base, s, length)
    wavelength = 2 * math.pi / f
    if wavelength < N / s["high_freq_factor"]:
        return f
    if wavelength > N / s["low_freq_factor"]:
        return f / s["factor"]
    smooth = (N / wavelength - s["low_freq_factor"]) / (
        s["high_freq_factor"] - s["low_freq_factor"]
    )
    return (1 - smooth) * f / s["factor"] + smooth * f


def yarn(i, r, base, s, length):
    def bound(turns):
        return r * math.log(N / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = bound(s.get("beta_fast", 32)), bound(s.get("beta_slow", 1))
    if s.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, r - 1)
    ramp = min(max((i - low) / (high - low if high != low else 0.001), 0), 1)
    f = plain(i, r, base, s, length)
    return f / s["factor"] * ramp + f * (1 - ramp)


CASES = [
    ({}, plain, 1.0),
    ({"rope_scale": 3.0}, plain, 1.0),
    ({"rope_size": 12}, plain, 1.0),
    ({"rope_scaling": DYNAMIC}, dynamic, 1.0),
    ({"rope_scaling": DYNAMIC, "rope_size": 8}, dynamic, 1.0),
    ({"rope_scaling": LLAMA3}, llama3, 1.0),
    ({"rope_scaling": LLAMA3, "rope_size": 8, "rope_scale": 2.0}, llama3, 1.0),
    ({"rope_scaling": YARN}, yarn, 0.1 * math.log(4) + 1),
    ({"rope_scaling": YARN, "rope_theta": 500.0, "rope_size": 16}, yarn, 0.1 * math.log(4) + 1),
    ({"rope_scaling": {**YARN, "truncate": False, "attention_factor": 0.7}}, yarn, 0.7),
    ({"rope_scaling": {**YARN, "beta_fast": 8.0, "beta_slow": 0.5, "factor": 1.0}}, yarn, 1.0),
    ({"rope_scaling": {**YARN, "beta_fast": 1e-4, "beta_slow": 1e-4}}, yarn, 0.1 * math.log(4) + 1),
]


@pytest.mark.parametrize("length", [1, N, N + 1, 4 * N])
@pytest.mark.parametrize(("changed", "formula", "factor"), CASES)
def test_it_is_the_formula(changed, formula, factor, length):
    config = GPTConfig(**SIZES, **changed)
    scaling, width = changed.get("rope_scaling"), changed.get("rope_size", 32)
    cos, sin = rotary_table(config, length)
    assert cos.shape == sin.shape == (length, width)
    assert cos.dtype == torch.float32
    half = width // 2
    for p in (0, length // 2, length - 1):
        for i in range(half):
            f = formula(i, width, config.rope_theta, scaling, length)
            angle = p / config.rope_scale * f
            expected = pytest.approx(factor * math.cos(angle), abs=2e-5)
            assert expected == cos[p, i].item() == cos[p, i + half].item()
            assert sin[p, i + half].item() == pytest.approx(factor * math.sin(angle), abs=2e-5)
            assert sin[p, i].item() == -sin[p, i + half].item()


def test_windowed_layers_have_a_base_of_their_own_and_no_scaling():
    changed = {"rope_theta_sliding": 50.0, "sliding_window": 4, "rope_scale": 2.0}
    config = GPTConfig(**SIZES, **changed, rope_scaling=YARN)
    expected = rotary_table(GPTConfig(**SIZES, rope_theta=50.0), 9)
    assert torch.equal(rotary_table(config, 9, is_sliding=True), expected)


def test_it_is_computed_on_the_cpu_whatever_the_default_is():
    config = GPTConfig(**SIZES, rope_scaling=YARN)
    with torch.device("meta"):
        table = rotary_table(config, 5)
    assert torch.equal(table, rotary_table(config, 5))
