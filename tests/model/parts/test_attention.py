"""Attention with shared heads, norms, caps and windows: alone, and all of them together."""

import random

import pytest
import torch

from mypt.model.decoding.decoder import Decoder, plain_linear, swapped_linear
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling
from mypt.model.initialisation import initialise
from mypt.model.quantized import quantize
from mypt.model.transformer import Transformer
from mypt.plugins import PartFactory, Placement
from mypt.plugins.nn import attention, cache
from mypt.testing.registration import register_beside
from tests.support.reference import Reference

LENGTH = 40
# Values of each option; the first is the default.
OPTIONS = {
    "n_kv_head": (None, 1, 2, 4),
    "qk_norm": (None, "head", "width"),
    "attn_soft_cap": (None, 1.5),
    "sliding_window": (None, 1, 5, 12, 39, 40),
    "window_pattern": (None, "SF", "FSS"),
    "pos_encoding": ("learned", "rope"),
    "rope_pattern": (None, "NR"),
    "rope_theta_sliding": (None, 50.0),
    "norm_type": ("layernorm", "rmsnorm"),
    "norm_offset": (0.0, 1.0),
    "norm_bias": (None, True),
    "qkv_bias": (None, True),
    "head_size": (None, 10),
    "attn_scale": (None, 0.4),
}


def drop_contradictions(words):
    """Leave out what only has a meaning beside something else."""
    if words["sliding_window"] is None:
        words |= {"window_pattern": None, "rope_theta_sliding": None}
    if words["pos_encoding"] != "rope":
        words |= {"rope_pattern": None, "rope_theta_sliding": None}
    if not (words["window_pattern"] or "S").count("S"):
        words["rope_theta_sliding"] = None
    return {name: value for name, value in words.items() if value != OPTIONS[name][0]}


def draw(seed):
    rng = random.Random(seed)
    return drop_contradictions({name: rng.choice(values) for name, values in OPTIONS.items()})


ALONE = [
    {"n_kv_head": 2},
    {"n_kv_head": 1, "pos_encoding": "rope"},
    {"qk_norm": "head"},
    {"qk_norm": "width", "pos_encoding": "rope", "norm_type": "rmsnorm"},
    {"attn_soft_cap": 1.5},
    {"sliding_window": 5},
    {"sliding_window": 5, "pos_encoding": "rope", "window_pattern": "SF"},
]
WORDS = [*ALONE, *map(draw, range(25))]
EACH = pytest.mark.parametrize("words", WORDS, ids=str)


@pytest.fixture(autouse=True)
def short_texts_are_cut_too(monkeypatch):
    """Blocks of few queries, and a cache that moves its window every few tokens."""
    monkeypatch.setattr(attention, "QUERIES_ON_CPU", 6)
    monkeypatch.setattr(attention, "FUSED_QUERIES", 7)
    monkeypatch.setattr(attention, "LEAST_OUTSIDE", 1)
    monkeypatch.setattr(cache, "LEAST_SLACK", 1)


@pytest.fixture
def make(make_model):
    return lambda words, **changed: make_model(block_size=LENGTH, n_head=4, **words, **changed)


@EACH
def test_logits_are_those_of_the_reference(make, ids, words):
    model = make(words)
    idx = ids(2, LENGTH)
    for row, logits in zip(idx, model(idx), strict=True):
        expected = Reference(model.state_dict(), model.config).logits(row)
        torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-4)


@EACH
@torch.inference_mode()
def test_the_logits_of_pieces_are_those_of_the_whole(make, ids, words):
    model = make(words)
    idx = ids(3, LENGTH)
    whole, kept = model(idx), model.make_cache()
    for sizes in ((1,) * LENGTH, (3, 1, 1, 14, 1, 20), (LENGTH,), (30, *(1,) * 10)):
        kept.length = 0  # each text starts over in the same memory
        found = torch.cat([model(piece, kept) for piece in idx.split(sizes, dim=1)], dim=1)
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-4)


@EACH
@torch.inference_mode()
def test_the_logits_of_one_token_after_another_are_those_of_the_whole(make, ids, words):
    model = make(words)
    for rows, linear in ((3, swapped_linear), (1, plain_linear)):
        idx, kept = ids(rows, LENGTH), model.make_cache()
        whole = model(idx)
        model(idx[:, :3], kept)
        decoder = Decoder(model, linear)
        for end in range(3, LENGTH):
            logits = decoder.next_logits(idx[:, end : end + 1], kept)
            torch.testing.assert_close(logits, whole[:, end], rtol=1e-4, atol=1e-4)


@EACH
def test_prompts_of_different_lengths_go_on_as_without_a_cache(make, ids, words):
    """Also past block_size, where every token gets another position."""
    model = make(words)
    prompts = [ids(1, length)[0] for length in (2, 17, 30)]
    with_cache, without = (
        torch.stack([*generate(model, prompts, 45, Sampling(temperature=0), use_cache=use)])
        for use in (True, False)
    )
    assert torch.equal(with_cache, without)


@EACH
def test_the_future_does_not_change_the_past(make, ids, words):
    model = make(words)
    idx = ids(1, LENGTH)
    changed = idx.clone()
    changed[:, 25:] = (changed[:, 25:] + 1) % 31
    before, after = model(idx), model(changed)
    torch.testing.assert_close(before[:, :25], after[:, :25], rtol=0, atol=1e-6)
    assert (before[:, 25] - after[:, 25]).abs().max() > 1e-3


@EACH
def test_gradients_are_those_without_checkpointing_and_dropout_does_not_look_ahead(
    make, ids, words
):
    model = make(words, dropout=0.3).train()
    idx, seen = ids(2, LENGTH), []
    for model.activation_checkpointing in (False, True):
        torch.manual_seed(3)
        model.zero_grad()
        model.loss(idx, idx).backward()
        seen.append([parameter.grad for parameter in model.parameters()])
    for plain, recomputed in zip(*seen, strict=True):
        torch.testing.assert_close(plain, recomputed)
    other = idx.clone()
    other[:, 25:] = (other[:, 25:] + 1) % 31
    logits = []
    for text in (idx, other):
        torch.manual_seed(3)
        logits.append(model(text))
    assert torch.equal(logits[0][:, :25], logits[1][:, :25])


def test_a_window_sees_itself_and_what_is_just_before_it(make, ids):
    model = make({"sliding_window": 5}, n_layer=1)
    idx = ids(1, LENGTH)
    for place in range(10, LENGTH):
        changed = idx.clone()
        changed[:, place] = (changed[:, place] + 1) % 31
        moved = (model(idx) - model(changed)).abs().amax(-1)[0] > 1e-6
        assert moved.nonzero()[:, 0].tolist() == list(range(place, min(place + 5, LENGTH)))


def test_each_layer_skips_what_is_outside_of_its_window(make, ids, monkeypatch):
    """The mask says it too, but a layer that goes by it alone computes all scores."""
    windows = []

    def record(q, k, v, mask, window, **options):
        windows.append(window)
        return attention.attend(q, k, v, mask, window, **options)

    monkeypatch.setattr("mypt.model.parts.attention.attend", record)
    make({"sliding_window": 5, "window_pattern": "SF"})(ids(1, LENGTH))
    assert windows == [5, None]


class Distances(torch.nn.Module):
    """A bias by distance with another slope for each head, as ALiBi's."""

    def __init__(self, config):
        super().__init__()
        self.slopes = [0.4 / (head + 1) for head in range(config.n_head)]

    def forward(self, positions, key_positions):
        distance = key_positions - positions[:, None]
        return Placement(bias=torch.stack([slope * distance for slope in self.slopes]))


@pytest.mark.parametrize("soft_cap", [None, 1.5])
@torch.inference_mode()
def test_a_bias_of_positions_meets_the_keys_of_the_window(tiny, ids, soft_cap):
    plugins = register_beside(PartFactory("pos_encoding", "distances", build=Distances), None)
    words = {"n_head": 4, "n_kv_head": 2, "sliding_window": 7, "window_pattern": "SF"}
    config = tiny(
        block_size=LENGTH, pos_encoding="distances", attn_soft_cap=soft_cap, **words, n_layer=2
    )
    model = Transformer(config, plugins)
    initialise(model, 0)
    model.eval()
    idx, kept = ids(2, LENGTH), model.make_cache()
    whole = model(idx)
    found = [model(piece, kept) for piece in idx[:, :20].split((2, 13, 1, 4), dim=1)]
    torch.testing.assert_close(torch.cat(found, dim=1), whole[:, :20])
    decoder = Decoder(model, swapped_linear)
    for end in range(20, LENGTH):
        logits = decoder.next_logits(idx[:, end : end + 1], kept)
        torch.testing.assert_close(logits, whole[:, end])


@torch.inference_mode()
def test_a_model_of_8_bits_decodes_as_it_reads(make, ids):
    words = {"n_kv_head": 2, "qk_norm": "width", "attn_soft_cap": 1.5, "sliding_window": 5}
    model = make(words, pos_encoding="rope")
    quantize(model)
    idx, kept = ids(1, LENGTH), model.make_cache()
    whole = model(idx)
    model(idx[:, :3], kept)
    decoder = Decoder(model, plain_linear)
    for end in range(3, LENGTH):
        logits = decoder.next_logits(idx[:, end : end + 1], kept)
        torch.testing.assert_close(logits, whole[:, end], rtol=1e-3, atol=1e-3)


def test_half_precision_is_near_the_full_one(make, ids):
    words = {"n_kv_head": 2, "qk_norm": "head", "attn_soft_cap": 5.0, "sliding_window": 9}
    model = make(words, norm_type="rmsnorm", pos_encoding="rope")
    idx = ids(2, LENGTH)
    whole = model(idx)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(idx)
    half = model.bfloat16()(idx)
    for found in (mixed, half):
        assert (found.float() - whole).norm() < 0.03 * whole.norm()


@pytest.mark.parametrize("words", [*ALONE[3:], draw(3), draw(4)], ids=str)
def test_compiled_it_computes_the_same(make, ids, words):
    model = make(words)
    idx = ids(2, LENGTH)
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(idx), model(idx))
