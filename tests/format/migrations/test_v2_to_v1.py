"""What the earlier MyPT cannot compute is never written for it."""

import pytest
from attrs import evolve

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.config_parts.adapter import Adapter
from mypt.format.documents.convert import field_names, to_document
from mypt.format.errors import FormatError
from mypt.format.migrations.v2_to_v1 import _CONFIG, apply, find_obstacles

# A value for each field that version 1 lacks, other than what it computes with.
REACH = {"kind": "yarn", "factor": 2.0, "original_block_size": 8}
OTHER = {
    "n_kv_head": 2,
    "attention_type": "waves",
    "block_type": "post_norm",
    "embedding_type": "waves",
    "head_type": "waves",
    "stack_type": "waves",
    "rope_theta_sliding": 5.0,
    "rope_scaling": REACH,
    "rope_size": 2,
    "rope_pattern": "RN",
    "sliding_window": 8,
    "window_pattern": "SF",
    "head_size": 3,
    "mlp_hidden": 7,
    "attn_scale": 0.3,
    "attn_soft_cap": 50.0,
    "qk_norm": "head",
    "norm_eps": 0.1,
    "norm_weight": False,
    "norm_offset": 1.0,
    "final_norm": False,
    "embedding_norm": True,
    "embedding_scale": 2.0,
    "residual_scale": 0.5,
    "logit_scale": 0.5,
    "logit_soft_cap": 30.0,
    "requires": ["waves"],
    "adapter": Adapter(rank=2, alpha=4, targets=("qkv",), base="x", base_sha256="0" * 64),
    "qkv_bias": True,
    "proj_bias": True,
    "mlp_bias": False,
    "norm_bias": False,
}
SIZES = {"n_embd": 32, "n_head": 4, "block_size": 16, "vocab_size": 5, "n_layer": 1}
LACKING = [
    name for name in field_names(GPTConfig) if name not in (*_CONFIG, "plugins", "head_bias")
]


@pytest.mark.parametrize("name", LACKING)
def test_every_field_that_version_1_lacks_is_an_obstacle(name):
    assert name in OTHER, "give another value than the default here"
    assert name in find_obstacles(GPTConfig(**SIZES, **{name: OTHER[name]}), None)


@pytest.mark.parametrize("name", ["waves", "relu", "geglu"])
def test_so_are_parts_that_version_1_lacks(name):
    assert "mlp_type" in find_obstacles(GPTConfig(**SIZES, mlp_type=name), None)


def test_what_means_the_same_is_none():
    same = {"n_kv_head": 4, "head_size": 8, "rope_size": 8, "norm_weight": True, "final_norm": True}
    assert find_obstacles(GPTConfig(**SIZES, pos_encoding="rope", **same), None) == {}
    assert find_obstacles(GPTConfig(**SIZES, mlp_type="swiglu", norm_type="rmsnorm"), None) == {}


def test_each_is_named_with_its_reason():
    fields = {"n_kv_head": 2, "sliding_window": 8, "block_type": "parallel", "rope_scaling": REACH}
    config = to_document(GPTConfig(**SIZES, pos_encoding="rope", **fields))
    with pytest.raises(FormatError) as raised:
        apply(Checkpoint(version="2.0", config=config, tensors={}))
    lines = str(raised.value).splitlines()
    keep = "; keep format 2.0: version 1 cannot express this"
    assert lines[0] == f"config.json#/n_kv_head: means 2, but MyPT computes with 4{keep}"
    assert lines[1] == f"config.json#/block_type: is parallel, but MyPT has pre_norm{keep}"
    assert lines[2].startswith("config.json#/rope_scaling: is yarn by 2, which MyPT does not have")
    assert lines[3] == f"config.json#/sliding_window: is 8, which MyPT does not have{keep}"


def test_fields_that_mean_nothing_else_are_dropped_without_a_report():
    config = to_document(GPTConfig(**SIZES, head_bias=True))
    downgraded = apply(Checkpoint(version="2.0", config=config, tensors={}))
    assert downgraded.report == ()
    assert not set(downgraded.config) & set(LACKING)


def test_special_tokens_that_mypt_cannot_have_are_left_out_and_reported():
    config, chars = (
        to_document(GPTConfig(**SIZES, head_bias=True)),
        {"token_kind": "char", "chars": ["a"]},
    )
    added = {"special_token_encoder": {"<|end|>": 1, "<|user|>": 2}}
    told = {"special_tokens": {"turn_end": [1], "user": 2}}
    made = Checkpoint(version="2.0", config=config, tensors={}, tokenizer=chars | added | told)
    downgraded = apply(made)
    assert downgraded.tokenizer == chars
    assert downgraded.report == (
        "tokenizer.json, left out: special_tokens",
        "tokenizer.json: MyPT has special tokens in gpt2's vocabulary alone; ids without a text "
        "are left of <|end|>, <|user|>",
    )
    gpt2 = evolve(made, tokenizer={"token_kind": "gpt2", "special_token_encoder": {"<x>": 50257}})
    assert apply(gpt2).tokenizer["special_token_encoder"] == {"<x>": 50257}
