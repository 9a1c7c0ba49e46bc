import json
from pathlib import Path

import pytest
import torch
from attrs import evolve
from mypt_nanochat.layout import ARCHITECTURE, SHARPNESS

import mypt
from mypt.plugins.manager import load_plugins
from mypt.testing import TINY, check_part

PRESET = Path(__file__).parents[1] / "nanochat.json"
TINY = evolve(TINY, **ARCHITECTURE, n_layer=3, n_embd=32, n_kv_head=2)
SLOTS = ("embedding_type", "stack_type", "head_type")
CHANGES = {
    "no windows": {},
    "windows": {"sliding_window": 4, "window_pattern": "SSF"},
    "one layer": {"n_layer": 1, "n_kv_head": 4},
    "other sizes": {"head_size": 6, "mlp_hidden": 40, "attn_scale": 0.7, "n_kv_head": 1},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_the_layers_do_what_a_part_must(changes):
    plugins = load_plugins()
    check_part(plugins.part("stack_type", "nanochat"), evolve(TINY, **changes), plugins=plugins)


@pytest.mark.parametrize("slot", ["embedding_type", "head_type"])
def test_the_ends_do_what_a_part_must(slot):
    plugins = load_plugins()
    check_part(plugins.part(slot, "nanochat"), TINY, plugins=plugins)


def test_a_model_is_trained_resumed_exactly_and_used(whole_life, tmp_path):
    preset = {
        **ARCHITECTURE,
        "tokenization": "nanochat",
        "plugins": {"mypt-nanochat": {"vocab_size": 300}},
        "sliding_window": 5,
        "window_pattern": "SSF",
        "n_kv_head": 2,
    }
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    model = whole_life("--config_file", tmp_path / "preset.json")
    assert model.blocks.layers[0].sa.qkv.weight.shape == (32 + 2 * 16, 32)
    has_vectors = [layer.sa.value_embedding is not None for layer in model.blocks.layers]
    assert has_vectors == [True, False, True]
    counted = mypt.get_model_info("whole")["parameters"]
    assert counted == sum(p.numel() for p in model.parameters())


def test_new_weights_are_drawn_as_nanochat_draws_them():
    model = mypt.GPT(evolve(TINY, vocab_size=2000, n_layer=3), seed=3)
    weights = model.state_dict()
    stds = {
        "token_embedding_table.weight": 0.8,
        "lm_head.weight": 0.001,
        "blocks.layers.1.sa.qkv.weight": 32**-0.5,
        "blocks.layers.0.sa.value_embedding.weight": 32**-0.5,
        "blocks.layers.2.fwd.up.weight": 0.4 * 32**-0.5,
    }
    for name, std in stds.items():
        assert weights[name].std().item() == pytest.approx(std, rel=0.03), name
        assert abs(weights[name].mean().item()) < 0.1 * std
    most = weights["blocks.layers.1.sa.qkv.weight"].abs().max().item()
    assert 0.98 * (3 / 32) ** 0.5 < most <= (3 / 32) ** 0.5
    for name in ("smear.gate.weight", "layers.0.sa.value_gate.weight"):
        gate = weights[f"blocks.{name}"]
        assert 0 <= gate.min() < 0.002
        assert 0.018 < gate.max() < 0.02
    for part in ("sa.proj", "fwd.down"):
        assert not weights[f"blocks.layers.1.{part}.weight"].any()
    assert weights["blocks.residual_factors"].tolist() == pytest.approx([1.15, 1.10, 1.05])
    assert weights["blocks.first_factors"].tolist() == pytest.approx([0.2, 0.125, 0.05])
    assert weights["blocks.smear.factor"].item() == 0
    assert weights["blocks.middle_factor"].item() == pytest.approx(0.2)
    again = mypt.GPT(evolve(TINY, vocab_size=2000, n_layer=3), seed=3).state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_a_position_sees_one_before_it_through_the_smear_alone():
    """With windows of one position, attention mixes nothing: what is left is the smear."""
    model = mypt.GPT(evolve(TINY, sliding_window=1, n_layer=2), seed=1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.2))
        idx = torch.arange(10)[None]
        other = idx.clone()
        other[0, 4] = 20
        differs = (model(idx) != model(other)).any(dim=-1)[0]
    assert differs.tolist() == [False] * 4 + [True] * 2 + [False] * 4


def test_what_the_layers_do_not_have_is_refused_where_it_stands(run_mypt, tmp_path):
    wrong = {**ARCHITECTURE, "attn_soft_cap": 20, "qk_norm": "width", "mlp_bias": None}
    (tmp_path / "preset.json").write_text(json.dumps({**wrong, "n_embd": 16, "n_head": 4}))
    code, out, said = run_mypt("format", "validate", "preset.json")
    assert code == 1
    for line in (
        '/qk_norm: is "width", which the layers of nanochat do not have; set it to "head"',
        "/attn_soft_cap: is 20.0, which the layers of nanochat do not have; set it to null",
        "/mlp_bias: is true, which the layers of nanochat do not have; set it to false",
        "/n_embd: is 16; the gates of nanochat's layers look at 24 values; set it to 24 or more",
    ):
        assert line in out + said


def test_the_preset_is_nanochats(run_mypt):
    preset = json.loads(PRESET.read_text())
    assert {name: preset[name] for name in ARCHITECTURE} == ARCHITECTURE
    assert preset["attn_scale"] == SHARPNESS * (preset["n_embd"] / preset["n_head"]) ** -0.5
    code, out, said = run_mypt("format", "validate", PRESET)
    assert code == 0, out + said


def test_a_window_costs_no_more_memory_than_itself():
    model = mypt.GPT(
        evolve(TINY, block_size=256, sliding_window=8, window_pattern="SSF"), seed=1
    ).eval()
    cache = model.make_cache()
    with torch.no_grad():
        model(torch.arange(200)[None] % TINY.vocab_size, cache)
    short, _, full = (layer.nbytes for layer in cache.layers.layers)
    assert short * 5 < full
    assert cache.layers.smear.nbytes * 5 < 256 * TINY.n_embd * 4
