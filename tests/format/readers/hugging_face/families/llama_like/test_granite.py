import pytest

CLASS = "GraniteForCausalLM"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"embedding_multiplier": 12.0, "logits_scaling": 3.0, "residual_multiplier": 0.22},
        {"attention_multiplier": 0.1, "attention_bias": True, "mlp_bias": True},
        {"tie_word_embeddings": True, "head_dim": 10, "attention_multiplier": 1},
    ],
)
def test_granite_has_the_logits_of_transformers(neighbours, fields):
    neighbours.check(CLASS, fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits_scaling": 0}, "/logits_scaling: is 0"),
        ({"attention_multiplier": None}, "attention_multiplier: is missing"),
        ({"num_local_experts": 4}, "/num_local_experts: is not known"),
    ],
)
def test_what_granite_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)
