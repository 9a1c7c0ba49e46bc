import pytest

FIELDS = [
    {},
    {"attention_bias": True, "num_key_value_heads": 4},
    {"hidden_act": "relu", "tie_word_embeddings": True, "head_dim": 10},
    {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 2000.0}},
]


@pytest.mark.parametrize("name", ["Olmo", "Olmo2"])
@pytest.mark.parametrize("fields", FIELDS)
def test_olmo_has_the_logits_of_transformers(neighbours, name, fields):
    neighbours.check(f"{name}ForCausalLM", fields)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("Olmo", {"clip_qkv": 8.0}, "/clip_qkv: is 8"),
        ("Olmo", {"rms_norm_eps": 1e-6}, "/rms_norm_eps: is not known"),
        ("Olmo2", {"clip_qkv": 8.0}, "/clip_qkv: is not known"),
        ("Olmo2", {"sliding_window": 8}, "/sliding_window: is 8"),
    ],
)
def test_what_olmo_does_not_do_is_refused(neighbours, name, change, message):
    neighbours.check_refused(f"{name}ForCausalLM", change, message)
