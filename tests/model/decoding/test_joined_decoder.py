"""Texts of different lengths that are continued in one pass get the logits of each alone."""

import random

import pytest
import torch
from torch import nn

from mypt.model.decoding import joined_decoder
from mypt.model.decoding.joined_decoder import (
    JoinedDecoder,
    SeparateDecoder,
    make_rows_decoder,
)
from mypt.model.quantized import quantize

ARCHITECTURES = [
    {},
    {"bias": True, "tie_weights": True, "mlp_type": "relu", "n_head": 4, "n_kv_head": 2},
    {"pos_encoding": "rope", "mlp_type": "swiglu", "norm_type": "rmsnorm", "n_kv_head": 1},
    {"pos_encoding": "rope", "sliding_window": 5, "window_pattern": "SF", "n_layer": 3},
    {"pos_encoding": "rope", "sliding_window": 5, "rope_theta_sliding": 100.0},
    {"pos_encoding": "rope", "rope_size": 4, "qk_norm": "head"},
    {"pos_encoding": "rope", "rope_pattern": "RN", "head_size": 10},
    {
        "pos_encoding": "rope",
        "rope_scaling": {"kind": "dynamic", "factor": 4.0, "original_block_size": 12},
    },
    {"attn_soft_cap": 5.0, "sliding_window": 4},
]


def check(model, decoder, *, rounds=40, seed=0, max_rows=4):
    """Let texts join and leave at random, and compare all logits with those of each alone."""
    draw = random.Random(seed)
    texts = []
    longest = model.config.cacheable_length
    with torch.inference_mode():
        for _ in range(rounds):
            if len(texts) < max_rows and draw.random() < 0.3:
                text = [draw.randrange(31) for _ in range(draw.randint(1, longest))]
                logits = decoder.join(torch.tensor(text))
                expect(logits, model, text)
                texts.append(text)
            for row in reversed(range(len(texts))):
                if len(texts[row]) == longest or draw.random() < 0.05:
                    decoder.leave(row)
                    texts[row] = texts[-1]
                    texts.pop()
            if texts:
                ids = [draw.randrange(31) for _ in texts]
                logits = decoder.next_logits(torch.tensor(ids))
                for text, token, row in zip(texts, ids, logits, strict=True):
                    text.append(token)
                    expect(row, model, text)


def expect(logits, model, text):
    alone = model.next_logits(torch.tensor([text]))[0]
    torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("changed", ARCHITECTURES)
def test_texts_that_join_and_leave_get_the_logits_of_each_alone(make_model, changed):
    model = make_model(**{"block_size": 48, **changed})
    decoder = make_rows_decoder(model, 4)
    assert isinstance(decoder, JoinedDecoder)
    for seed in range(3):
        check(model, make_rows_decoder(model, 4), seed=seed)


def test_a_model_of_8_bits_is_joined_too(make_model):
    model = make_model(pos_encoding="rope")
    quantize(model)
    check(model, make_rows_decoder(model, 4))


class Late(nn.Module):
    """Positions of a plugin that believes that they follow one another."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, positions, key_positions):
        start = positions[0]
        return self.part(torch.arange(start, start + len(positions)) % 16, key_positions)


class Alone(nn.ModuleList):
    """A stack with a cache of its own kind."""

    def forward(self, x, idx, contexts, cache):
        return self.stack(x, idx, contexts, None if cache is None else cache["all"])

    def make_cache(self, capacity):
        return {"all": self.stack.make_cache(capacity)}


@pytest.mark.parametrize("place", ["positions", "stack"])
def test_texts_go_one_by_one_where_parts_know_no_other_way(make_model, monkeypatch, place):
    model = make_model()
    if place == "positions":
        model.position_embedding_table = Late(model.position_embedding_table)
    else:
        alone = Alone(model.blocks)
        alone.stack = model.blocks
        model.blocks = alone
    monkeypatch.setattr(joined_decoder, "find_origins", lambda _: {"pos_encoding": "a plugin"})
    decoder = make_rows_decoder(model, 4)
    assert isinstance(decoder, SeparateDecoder)
    check(model, decoder)


def test_parts_of_a_plugin_that_can_are_joined(make_model, monkeypatch):
    monkeypatch.setattr(joined_decoder, "find_origins", lambda _: {"pos_encoding": "a plugin"})
    decoder = make_rows_decoder(make_model(pos_encoding="rope"), 4)
    assert isinstance(decoder, JoinedDecoder)
    check(make_model(pos_encoding="rope"), decoder)


def test_memory_is_that_of_the_rows_and_not_of_how_long_they_go_on(make_model):
    model = make_model(block_size=64)
    decoder = make_rows_decoder(model, 3)
    check(model, decoder, max_rows=3, rounds=300)
    per_token = 2 * model.config.n_layer * model.config.n_embd * 4
    assert decoder.nbytes <= per_token * 3 * (64 + 32)


def test_hooks_see_every_text_by_itself(make_model):
    model, seen = make_model(), []
    model.blocks[0].fwd.register_forward_hook(lambda *_: seen.append(1))
    decoder = make_rows_decoder(model, 4)
    assert isinstance(decoder, SeparateDecoder)
    check(model, decoder)
    assert seen
