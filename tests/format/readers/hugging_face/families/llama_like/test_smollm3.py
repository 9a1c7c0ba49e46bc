import pytest

CLASS = "SmolLM3ForCausalLM"
WINDOW = {"use_sliding_window": True, "sliding_window": 4}


@pytest.mark.parametrize(
    ("fields", "pattern", "windows"),
    [
        ({}, None, [None] * 3),
        ({"no_rope_layer_interval": 2}, "RN", [None] * 3),
        ({"no_rope_layers": [0, 1, 1]}, "NRR", [None] * 3),
        ({"no_rope_layers": [0, 0, 0]}, "N", [None] * 3),
        ({"no_rope_layers": [0, 1, 1], **WINDOW}, "NRR", [4, None, None]),
        (
            {"layer_types": ["full_attention", *["sliding_attention"] * 2], **WINDOW},
            None,
            [None, 4, 4],
        ),
        ({"attention_bias": True, "mlp_bias": True, "head_dim": 10}, None, [None] * 3),
    ],
)
def test_smollm3_has_the_logits_of_transformers(neighbours, fields, pattern, windows):
    config = neighbours.check(CLASS, fields)
    assert config.rope_pattern == pattern
    assert [config.window_at(layer) for layer in range(3)] == windows


def test_layers_that_a_config_leaves_out_are_those_of_its_class(neighbours):
    config = neighbours.check(CLASS, {"no_rope_layer_interval": 3, **WINDOW})
    neighbours.edit({}, without=("layer_types", "no_rope_layers"))
    assert neighbours.read_config() == config
    assert config.rope_pattern == "RRN"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"no_rope_layers": [1, 1]}, "/no_rope_layers: is not a list of 1"),
        ({"no_rope_layers": [1, 1, 2]}, "/no_rope_layers: is not a list of 1"),
        ({"layer_types": ["sliding_attention"] * 3}, "/layer_types: has windows, which"),
        ({"no_rope_layers": None, "no_rope_layer_interval": 0}, "no_rope_layer_interval: is 0"),
    ],
)
def test_what_smollm3_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)
