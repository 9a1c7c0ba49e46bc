import pytest

CLASS = "Starcoder2ForCausalLM"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"use_bias": False, "sliding_window": 4},
        {"hidden_act": "relu", "tie_word_embeddings": False, "norm_epsilon": 1e-3},
        {"head_dim": 10, "num_key_value_heads": 1},
    ],
)
def test_starcoder2_has_the_logits_of_transformers(neighbours, fields):
    neighbours.check(CLASS, fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_bias": None}, "use_bias: is None"),
        ({"rms_norm_eps": 1e-6}, "/rms_norm_eps: is not known"),
        ({"layer_types": ["sliding_attention"] * 3}, "/layer_types: contradicts sliding_window"),
    ],
)
def test_what_starcoder2_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)
