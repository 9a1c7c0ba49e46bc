"""Blocks join their parts by the formulas of the specification."""

import pytest
import torch
from torch import nn

from mypt.format.layout import BLOCK_NORMS
from mypt.model.parts import block as blocks
from mypt.model.plugin import BUILDERS


def pre_norm(x, r, sa, fwd, norms):
    x = x + r * sa(norms.ln1(x))
    return x + r * fwd(norms.ln2(x))


def post_norm(x, r, sa, fwd, norms):
    x = norms.ln1(x + r * sa(x))
    return norms.ln2(x + r * fwd(x))


def res_post_norm(x, r, sa, fwd, norms):
    x = x + r * norms.ln1(sa(x))
    return x + r * norms.ln2(fwd(x))


def sandwich_norm(x, r, sa, fwd, norms):
    x = x + r * norms.ln1_post(sa(norms.ln1(x)))
    return x + r * norms.ln2_post(fwd(norms.ln2(x)))


def parallel(x, r, sa, fwd, norms):
    return x + r * sa(norms.ln1(x)) + r * fwd(norms.ln1(x))


def parallel_two_norms(x, r, sa, fwd, norms):
    return x + r * sa(norms.ln1(x)) + r * fwd(norms.ln2(x))


FORMULAS = {
    formula.__name__: formula
    for formula in (
        *(pre_norm, post_norm, res_post_norm, sandwich_norm, parallel, parallel_two_norms),
    )
}


class Attention(nn.Module):
    """A stand-in whose output shows that it got the context and the cache."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(24, 24)

    def forward(self, x, context, cache):
        return self.linear(x) * context + cache


def test_every_block_is_here():
    assert FORMULAS.keys() == BLOCK_NORMS.keys()


@pytest.mark.parametrize("residual_scale", [1.0, 0.3])
@pytest.mark.parametrize("block_type", BLOCK_NORMS)
def test_a_block_is_its_formula_for_all_positions_and_for_one(tiny, block_type, residual_scale):
    build = getattr(blocks, BUILDERS["block_type", block_type][1])
    block = build(tiny(block_type=block_type, residual_scale=residual_scale))
    block.sa, block.fwd = Attention(), nn.Linear(24, 24)
    for name in BLOCK_NORMS[block_type]:
        setattr(block, name, nn.Linear(24, 24))  # so that each shows
    block = block.double()
    x = torch.randn(2, 5, 24, dtype=torch.float64)

    def attend(x):
        return block.sa(x, 2.0, 0.25)

    expected = FORMULAS[block_type](x, residual_scale, attend, block.fwd, block)
    torch.testing.assert_close(block(x, 2.0, 0.25), expected)
    one = block.one_token(lambda layer: layer)
    torch.testing.assert_close(one(x[:, 1], 2.0, 0.25), expected[:, 1])
