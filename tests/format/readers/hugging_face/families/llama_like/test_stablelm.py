import pytest

CLASS = "StableLmForCausalLM"


def part(size, **rope):
    return {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": size, **rope}}


@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_size": 32},
        {"use_qkv_bias": True, "num_key_value_heads": 4, **part(0.67)},
        {"use_parallel_residual": True, "layer_norm_eps": 1e-3, **part(1.0)},
        {"tie_word_embeddings": True, "hidden_act": "gelu", **part(0.34, rope_theta=500.0)},
        part(0.67, rope_type="linear", factor=2.0),
    ],
)
def test_stablelm_has_the_logits_of_transformers(neighbours, fields):
    neighbours.check(CLASS, fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qk_layernorm": True}, "/qk_layernorm: is true"),
        ({"head_dim": 10}, "/head_dim: is not known"),
        ({"use_parallel_residual": None}, "use_parallel_residual: is None, not true or false"),
        (part(0.5), "/partial_rotary_factor: rotates 3 values of each head"),
    ],
)
def test_what_stablelm_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)
