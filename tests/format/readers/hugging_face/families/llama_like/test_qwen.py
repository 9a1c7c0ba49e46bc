import pytest

LAYERS = ["full_attention", "sliding_attention", "full_attention"]


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(
    ("fields", "windows"),
    [
        ({}, [None] * 3),
        ({"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}, [None, 4, 4]),
        ({"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}, [4] * 3),
        ({"use_sliding_window": True, "sliding_window": 4, "layer_types": LAYERS}, [None, 4, None]),
        ({"use_sliding_window": True, "sliding_window": None}, [None] * 3),
        ({"tie_word_embeddings": True, "num_key_value_heads": None, "head_dim": 10}, [None] * 3),
    ],
)
def test_qwen_has_the_logits_of_transformers(neighbours, number, fields, windows):
    config = neighbours.check(f"Qwen{number}ForCausalLM", fields)
    assert [config.window_at(layer) for layer in range(3)] == windows
    neighbours.edit({}, without=("layer_types",))  # as release 4 writes it
    if "layer_types" not in fields:
        assert neighbours.read_config() == config


def test_qwen3_may_have_biases_of_attention(neighbours):
    assert neighbours.check("Qwen3ForCausalLM", {"attention_bias": True}).has_proj_bias


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer_types": LAYERS}, "sliding_window: is missing"),  # use_sliding_window is false
        ({"layer_types": LAYERS[:2]}, "/layer_types: is not a list of the types of the 3 layers"),
        ({"layer_types": ["linear_attention"] * 3}, "/layer_types: has 'linear_attention'"),
        ({"use_sliding_window": "yes"}, "use_sliding_window: is 'yes', not true or false"),
        (
            {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": None},
            "is missing",
        ),
        ({"attention_bias": 1}, "attention_bias: is"),
        ({"use_qk_norm": False}, "/use_qk_norm: is not known"),
    ],
)
def test_what_qwen_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused("Qwen3ForCausalLM", change, message)
