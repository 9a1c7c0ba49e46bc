"""The core of attention does what a loop over heads, queries and keys does."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from mypt.plugins.nn import attention
from mypt.plugins.nn.attention import attend, attend_once

SCALE = 0.3
# A dropout that takes the way of dropout, and drops nothing.
NOTHING = 1e-9
# Heads of queries, and of keys and values.
HEADS = [(4, 4), (4, 2), (6, 1)]


def loop(q, k, v, *, window=None, bias=None, soft_cap=None):
    """Compute attention query by query: slow, and by the definition."""
    before = k.size(2) - q.size(2)
    out = torch.zeros(*q.shape[:3], v.size(3), dtype=q.dtype)
    for row, head, query in itertools.product(*map(range, q.shape[:3])):
        kv_head = head // (q.size(1) // k.size(1))
        last = before + query
        first = 0 if window is None else max(0, last - window + 1)
        scores = []
        for key in range(first, last + 1):
            score = SCALE * torch.dot(q[row, head, query], k[row, kv_head, key])
            if soft_cap is not None:
                score = soft_cap * torch.tanh(score / soft_cap)
            scores.append(score if bias is None else score + bias[head, query, key])
        weights = torch.softmax(torch.stack(scores), 0)
        out[row, head, query] = weights @ v[row, kv_head, first : last + 1]
    return out


def draw(heads, n_queries, n_keys, dtype=torch.float64):
    """Draw queries, keys and values, strided as those of a layer are."""
    n_head, n_kv_head = heads
    q = torch.randn(2, n_queries, n_head, 8, dtype=dtype).transpose(1, 2)
    k, v = torch.randn(2, n_keys, 2 * n_kv_head, 8, dtype=dtype).transpose(1, 2).chunk(2, dim=1)
    return q, k, v


def make_mask(n_queries, n_keys, window, bias):
    """Make the mask of a context; None where causality suffices."""
    keys = torch.arange(n_keys)
    queries = keys[n_keys - n_queries :, None]
    seen = keys <= queries
    if window is not None:
        seen &= keys > queries - window
    if bias is not None:
        return bias.masked_fill(~seen, -math.inf)
    is_plain = n_queries == 1 or (n_queries == n_keys and (window is None or window >= n_keys))
    return None if is_plain else seen


@pytest.fixture
def small_blocks(monkeypatch):
    """Cut even short texts into blocks."""
    monkeypatch.setattr(attention, "QUERIES_ON_CPU", 3)
    monkeypatch.setattr(attention, "FUSED_QUERIES", 4)
    monkeypatch.setattr(attention, "LEAST_OUTSIDE", 1)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("with_bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("soft_cap", [None, 0.5])
@pytest.mark.parametrize("window", [None, 1, 3, 20])
@pytest.mark.parametrize("lengths", [(9, 9), (4, 9), (1, 7), (1, 1)], ids=str)
@pytest.mark.parametrize("heads", HEADS, ids=str)
def test_every_combination_is_that_of_the_loop(heads, lengths, window, soft_cap, with_bias):
    n_queries, n_keys = lengths
    if window is not None:  # the cache of such a layer returns no others
        n_keys = min(n_keys, n_queries + window - 1)
    q, k, v = draw(heads, n_queries, n_keys)
    bias = torch.randn(heads[0], n_queries, n_keys, dtype=q.dtype) if with_bias else None
    mask = make_mask(n_queries, n_keys, window, bias)
    wanted = loop(q, k, v, window=window, bias=bias, soft_cap=soft_cap)
    found = attend(q, k, v, mask, window, scale=SCALE, soft_cap=soft_cap)
    torch.testing.assert_close(found, wanted)
    if n_queries == 1:
        once = attend_once(q, k, v, mask, scale=SCALE, soft_cap=soft_cap)
        torch.testing.assert_close(once.reshape(wanted.shape), wanted)


@pytest.mark.parametrize("dropout_p", [0.0, NOTHING], ids=["fused", "blocks"])
@pytest.mark.parametrize("window", [None, 40, 300])
@pytest.mark.parametrize("length", [1, 64, 65, 700])
@pytest.mark.parametrize("heads", HEADS[:2], ids=str)
def test_gradients_are_those_of_torch_with_a_mask(heads, length, window, dropout_p):
    q, k, v = (part.requires_grad_() for part in draw(heads, length, length))
    mask = make_mask(length, length, window, None)
    ours = attend(q, k, v, mask, window, scale=SCALE, dropout_p=dropout_p)
    full = torch.ones(length, length).tril().bool() if mask is None else mask
    theirs = F.scaled_dot_product_attention(
        q, k, v, attn_mask=full, scale=SCALE, enable_gqa=heads[0] != heads[1]
    )
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad(ours, (q, k, v), upstream),
        torch.autograd.grad(theirs, (q, k, v), upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("window", [None, 20])
@pytest.mark.parametrize("soft_cap", [None, 1.0])
@pytest.mark.parametrize("heads", HEADS[:2], ids=str)
def test_dropout_keeps_the_mean(heads, soft_cap, window):
    torch.manual_seed(0)
    q, k, v = (part[:1] for part in draw(heads, 70, 70, torch.float32))
    v = v.clamp(-1, 1)
    mask = make_mask(70, 70, window, None)
    options = {"scale": SCALE, "soft_cap": soft_cap}
    wanted = attend(q, k, v, mask, window, **options)
    rows = (part.expand(600, -1, -1, -1) for part in (q, k, v))
    found = attend(*rows, mask, window, dropout_p=0.3, **options)
    assert (found.mean(0) - wanted[0]).abs().max() < 0.15


def test_dropout_drops_weights_of_each_query_by_itself():
    torch.manual_seed(0)
    q = k = torch.zeros(1, 2, 50, 4)
    v = torch.eye(50).expand(1, 2, 50, 50)
    weights = attend(q, k, v, None, None, scale=SCALE, dropout_p=0.5)
    past = torch.ones(50, 50).tril().bool().expand_as(weights)
    assert (weights[~past] == 0).all()
    assert (weights[past] == 0).double().mean() == pytest.approx(0.5, abs=0.03)
    assert not torch.equal(weights[0, 0], weights[0, 1])


@pytest.mark.parametrize("soft_cap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 100])
def test_half_precision_is_near_the_full_one(window, soft_cap):
    q, k, v = draw((4, 2), 500, 500)
    mask = make_mask(500, 500, window, None)
    wanted = attend(q, k, v, mask, window, scale=SCALE, soft_cap=soft_cap)
    halves = (part.bfloat16() for part in (q, k, v))
    found = attend(*halves, mask, window, scale=SCALE, soft_cap=soft_cap)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), wanted, atol=0.05, rtol=0.05)


def test_keys_outside_of_the_window_are_not_even_read(monkeypatch):
    """Whatever they are: scores with them would not be finite."""
    monkeypatch.setattr(attention, "LEAST_OUTSIDE", 1)
    q, k, v = draw((2, 2), 600, 600)
    k[:, :, :100] = v[:, :, :100] = math.nan
    mask = make_mask(600, 600, 50, None)
    for options in ({}, {"soft_cap": 5.0}, {"dropout_p": 0.1}):
        last = attend(q, k, v, mask, 50, scale=SCALE, **options)[:, :, -64:]
        assert last.isfinite().all(), options
