import pytest

CLASS = "MistralForCausalLM"


@pytest.mark.parametrize(
    "fields",
    [
        {"sliding_window": 4},
        {"sliding_window": None, "head_dim": 10},
        {"tie_word_embeddings": True, "hidden_act": "gelu", "rms_norm_eps": 1e-3},
        {"num_key_value_heads": 4},
    ],
)
def test_mistral_has_the_logits_of_transformers(neighbours, fields):
    config = neighbours.check(CLASS, fields)
    assert config.sliding_window == fields.get("sliding_window", 4096)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sliding_window": 0}, "sliding_window: is 0, not a positive"),
        ({"layer_types": ["full_attention"] * 3}, "/layer_types: contradicts sliding_window"),
        ({"layer_types": ["chunked_attention"] * 3}, "/layer_types: has 'chunked_attention'"),
        ({"attention_bias": True}, "/attention_bias: is not known"),
    ],
)
def test_what_mistral_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)
