"""What the position encodings hand to the layers."""

import math

import pytest
import torch

from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling
from mypt.model.parts.position import LearnedPositions, RotaryPositions

DYNAMIC = {"kind": "dynamic", "factor": 2.0, "original_block_size": 6}
VARIANTS = [
    {},
    {"rope_size": 4},
    {"rope_size": 3},
    {"rope_theta_sliding": 50.0, "sliding_window": 3, "rope_size": 2},
    {"rope_scaling": {"kind": "yarn", "factor": 2.0, "original_block_size": 8}},
]


@pytest.fixture
def rope(tiny):
    return lambda **changed: RotaryPositions(tiny(pos_encoding="rope", **changed))


def place(part, start, end):
    keys = torch.arange(end)
    return part(keys[start:], keys)


@pytest.mark.parametrize("changed", VARIANTS, ids=str)
def test_one_position_is_rotated_as_among_all(rope, changed):
    part = rope(**changed)
    heads = torch.randn(2, 3, 9, 8)
    whole, one = place(part, 0, 9), part.one_token(None)(5)
    for name in ("rotate", "rotate_sliding"):
        turn, alone = getattr(whole, name), getattr(one, name)
        assert (turn is None) == (alone is None) == (name == "rotate_sliding" and len(changed) < 3)
        if turn is not None:
            torch.testing.assert_close(alone(heads[:, :, 5:6]), turn(heads)[:, :, 5:6])


def test_values_beyond_the_rotated_ones_stay_as_they_are(rope, tiny):
    heads = torch.randn(2, 3, 5, 8)
    for dtype in (torch.float32, torch.bfloat16):
        turned = place(rope(rope_size=4), 0, 5).rotate(heads.to(dtype))
        assert turned.dtype == dtype
        assert torch.equal(turned[..., 4:], heads.to(dtype)[..., 4:])
        whole = RotaryPositions(tiny(pos_encoding="rope", head_size=4))
        assert torch.equal(turned[..., :4], place(whole, 0, 5).rotate(heads[..., :4].to(dtype)))


def test_scores_depend_on_the_distance_alone(rope):
    part = rope(rope_size=4)
    q, k = torch.randn(2, 1, 1, 1, 8).expand(2, 1, 1, 9, 8).double()
    turn = place(part, 0, 9).rotate
    scores = (turn(q) @ turn(k).mT)[0, 0]
    torch.testing.assert_close(scores[3:, 3:], scores[:-3, :-3], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(scores[3:, :-3], scores[:-3, :-3])


@pytest.mark.parametrize("changed", [*VARIANTS, {"rope_scaling": DYNAMIC}], ids=str)
def test_angles_stay_exact_whatever_the_model_is_converted_to(rope, changed):
    part, wanted = rope(**changed), rope(**changed)
    for moved in (part.half(), part.to_empty(device="cpu")):
        for (name, table), other in zip(moved.named_buffers(), wanted.buffers(), strict=True):
            assert table.dtype == torch.float32, name
            assert torch.equal(table, other), name


def test_dynamic_angles_are_those_of_the_whole_text(rope):
    part = rope(rope_scaling=DYNAMIC, block_size=16)
    heads = torch.ones(1, 1, 5, 8)
    for length in (6, 7, 9, 16):
        base = 10000.0
        if length > 6:  # of transformers: modeling_rope_utils, dynamic
            base *= ((2.0 * length / 6) - (2.0 - 1)) ** (8 / (8 - 2))
        angles = torch.outer(torch.arange(1.0, 6.0), base ** -(torch.arange(0, 8, 2) / 8))
        keys = torch.arange(length)
        found = part(keys[1:6], keys).rotate(heads)[0, 0]
        expected = torch.cat([angles.cos() - angles.sin(), angles.cos() + angles.sin()], dim=1)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_model_with_dynamic_angles_generates_with_a_cache_what_it_does_without(make_model):
    model = make_model(pos_encoding="rope", rope_scaling=DYNAMIC)
    assert model.config.cacheable_length == 6
    for length in (1, 4, 6, 9):
        prompts = torch.randint(31, (2, length))
        with_cache, without = (
            torch.cat([*generate(model, prompts, 20, Sampling(temperature=0), use_cache=use_cache)])
            for use_cache in (True, False)
        )
        assert torch.equal(with_cache, without), length


def test_learned_positions_are_rows_of_their_matrix(tiny):
    part = LearnedPositions(tiny())
    torch.nn.init.normal_(part.weight)
    assert torch.equal(place(part, 3, 7).embedding, part.weight[3:7])
    assert torch.equal(part.one_token(None)(5).embedding, part.weight[5])
    assert math.prod(part.weight.shape) == 16 * 24
