import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.rules.equivalence import format_meaning, list_differences

ROPE = {"pos_encoding": "rope", "n_layer": 4}
YARN = {"kind": "yarn", "factor": 4.0, "original_block_size": 8}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"batch_size": 1, "dropout": 0.0, "device": "cpu", "plugins": {"acme": {}}}),
        ({"plugins": {"acme": {"merges": 9}}, "requires": ("acme",)}, {}),
        ({"bias": True}, {"qkv_bias": True, "proj_bias": True}),
        ({"n_kv_head": 6, "head_size": 64, "mlp_hidden": 1536}, {}),
        ({"attn_scale": 64**-0.5, "norm_eps": 1e-5, "final_norm": True}, {}),
        ({"logit_scale": 1 / 3.0}, {"logit_scale": 1 / 3.0000000000000004}),
        ({"rope_theta": 1.0, "rope_scale": 2.0}, {}),  # nothing rotates
        ({**ROPE, "rope_pattern": "RN"}, {**ROPE, "rope_pattern": "RNRN"}),
        ({**ROPE, "rope_pattern": "R"}, ROPE),
        (
            {**ROPE, "sliding_window": 4, "window_pattern": "S"},
            {**ROPE, "sliding_window": 4, "rope_theta_sliding": 10000.0},
        ),
        ({**ROPE, "sliding_window": 4, "window_pattern": "F"}, ROPE),
        ({**ROPE, "sliding_window": 256, "window_pattern": "SF"}, ROPE),  # of all positions
        ({"requires": ("plugin/mypt-alibi",)}, {}),
    ],
)
def test_configs_of_one_model_have_no_differences(one, other):
    assert list_differences(GPTConfig(**one), GPTConfig(**{"n_layer": 6, **other})) == []


@pytest.mark.parametrize(
    ("one", "other", "differing"),
    [
        ({"bias": True}, {}, ["qkv_bias", "proj_bias"]),
        ({"tie_weights": True}, {}, ["tie_weights"]),
        ({"norm_eps": 1e-6}, {}, ["norm_eps"]),
        ({**ROPE, "rope_theta": 500.0}, ROPE, ["rope_theta"]),
        ({**ROPE, "rope_scaling": YARN}, ROPE, ["rope_scaling"]),
        (
            {**ROPE, "sliding_window": 4, "rope_scaling": YARN},
            {**ROPE, "sliding_window": 4, "rope_scaling": YARN, "rope_theta_sliding": 10000.0},
            ["rope_theta_sliding"],
        ),
        ({**ROPE, "sliding_window": 4}, ROPE, ["sliding_window"]),
        ({**ROPE, "sliding_window": 255}, ROPE, ["sliding_window"]),
        (
            {**ROPE, "sliding_window": 256, "rope_theta_sliding": 500.0},
            ROPE,
            ["sliding_window"],
        ),
        ({**ROPE, "head_size": 32, "attn_scale": 0.125}, ROPE, ["head_size"]),  # all is rotated
        (
            {**ROPE, "sliding_window": 4, "window_pattern": "SF"},
            {**ROPE, "sliding_window": 4, "window_pattern": "SSF"},
            ["window_pattern"],
        ),
    ],
)
def test_fields_in_which_models_differ_are_named(one, other, differing):
    found = list_differences(GPTConfig(**one), GPTConfig(**other))
    assert found == differing


def test_a_meaning_is_formatted_as_documents_have_it():
    config = GPTConfig(**ROPE, rope_scaling=YARN, tie_weights=True)
    names = ("tie_weights", "mlp_type", "sliding_window", "rope_scaling")
    found = [format_meaning(config, name) for name in names]
    assert found == ["true", "gelu", "null", "yarn by 4"]


def test_settings_count_that_the_second_config_has_a_section_for():
    plain, scaled = GPTConfig(), GPTConfig(plugins={"acme": {"factor": 2.0}})
    assert list_differences(plain, scaled) == ["plugins"]
    assert list_differences(scaled, GPTConfig(plugins={"acme": {}})) == ["plugins"]
    assert list_differences(plain, GPTConfig(plugins={"acme": {}})) == []
