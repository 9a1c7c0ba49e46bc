"""What the fields of a config mean."""

import pytest

from mypt.format.documents.config import DERIVED, OPTIONAL, GPTConfig
from mypt.format.documents.config_parts.rope_scaling import RopeScaling
from mypt.format.documents.convert import from_document, to_document
from mypt.format.errors import ConfigError


def windows(layers=5, **fields):
    config = GPTConfig(**fields)
    return [config.window_at(layer) for layer in range(layers)]


def test_a_window_is_in_every_layer_or_where_its_pattern_has_it():
    assert windows() == [None] * 5
    assert windows(sliding_window=3) == [3] * 5
    assert windows(sliding_window=3, window_pattern="SSF") == [3, 3, None, 3, 3]
    assert windows(sliding_window=3, window_pattern="F") == [None] * 5


def test_layers_rotate_where_their_pattern_has_it():
    assert all(GPTConfig().is_rotated(layer) for layer in range(5))
    config = GPTConfig(pos_encoding="rope", rope_pattern="RRN")
    assert [config.is_rotated(layer) for layer in range(5)] == [True, True, False, True, True]


def test_widths_follow_from_the_heads():
    config = GPTConfig(n_embd=24, n_head=6, n_kv_head=2, head_size=8, rope_size=4)
    assert (config.kv_heads, config.kv_width, config.rotated_width) == (2, 16, 4)
    config = GPTConfig(n_embd=24, n_head=6)
    assert (config.kv_heads, config.kv_width, config.rotated_width) == (6, 24, 4)


def test_keys_can_be_cached_unless_they_depend_on_the_length_of_the_text():
    assert GPTConfig(block_size=64).cacheable_length == 64
    reach = {"factor": 2.0, "original_block_size": 16}
    for kind, length in (("dynamic", 16), ("yarn", 64)):
        config = GPTConfig(block_size=64, rope_scaling={"kind": kind, **reach})
        assert config.cacheable_length == length
    short = GPTConfig(block_size=8, rope_scaling={"kind": "dynamic", **reach})
    assert short.cacheable_length == 8


@pytest.mark.parametrize(
    ("fields", "weight", "bias"),
    [
        ({}, True, True),
        ({"norm_type": "rmsnorm"}, True, False),
        ({"norm_weight": False}, False, False),
        ({"norm_weight": False, "norm_bias": True}, False, True),
    ],
)
def test_norms_without_weights_have_no_biases_unless_they_are_asked_for(fields, weight, bias):
    config = GPTConfig(**fields)
    assert (config.has_norm_weight, config.has_norm_bias) == (weight, bias)


def test_the_last_norm_is_left_out_where_each_block_ends_with_one():
    assert GPTConfig().has_final_norm
    assert not GPTConfig(block_type="post_norm").has_final_norm
    assert GPTConfig(block_type="post_norm", final_norm=True).has_final_norm
    assert not GPTConfig(final_norm=False).has_final_norm


@pytest.mark.parametrize("mlp_type", ["swiglu", "geglu", "geglu_tanh", "reglu"])
def test_gated_parts_have_the_width_and_the_biases_of_swiglu(mlp_type):
    config = GPTConfig(n_embd=96, mlp_type=mlp_type)
    assert (config.mlp_width, config.has_mlp_bias) == (256, False)
    assert GPTConfig(n_embd=96, mlp_type="relu2").mlp_width == 384


def test_a_field_means_its_value_or_what_its_rule_yields():
    config = GPTConfig(n_head=4, n_kv_head=2, sliding_window=5)
    assert config.meaning_of("n_kv_head") == 2
    assert GPTConfig(n_head=4).meaning_of("n_kv_head") == 4
    assert config.meaning_of("sliding_window") == 5
    for name in OPTIONAL:
        assert GPTConfig().meaning_of(name) is None
    for name in DERIVED:
        assert GPTConfig().meaning_of(name) is not None


SCALING = {"kind": "yarn", "factor": 2, "original_block_size": 8.0}


def test_a_scaling_may_be_given_as_a_mapping_and_keeps_what_it_does_not_know():
    config = GPTConfig(pos_encoding="rope", rope_scaling={**SCALING, "later": [1]})
    assert isinstance(config.rope_scaling, RopeScaling)
    assert config.rope_scaling.beta_fast == 32.0
    assert config.rope_scaling.extra == {"later": [1]}
    document = to_document(config)
    assert document["rope_scaling"]["later"] == [1]
    assert from_document(GPTConfig, document) == config


@pytest.mark.parametrize(
    ("scaling", "said"),
    [
        ({"kind": "yarn"}, "rope_scaling/factor: is missing"),
        ({**SCALING, "kind": "linear"}, "rope_scaling/kind: is"),
        ({**SCALING, "factor": 0.5}, "rope_scaling/factor: is 0.5"),
        ({**SCALING, "original_block_size": "8"}, "rope_scaling/original_block_size: is"),
        ("yarn", "rope_scaling: is"),
    ],
)
def test_a_scaling_that_its_schema_refuses_is_named(scaling, said):
    with pytest.raises(ConfigError) as raised:
        GPTConfig(rope_scaling=scaling)
    assert said in str(raised.value)
