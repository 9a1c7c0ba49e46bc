import pytest

CLASS = "Phi3ForCausalLM"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sliding_window": 4, "num_key_value_heads": 4},
        {"rope_parameters": {"partial_rotary_factor": 0.67, "rope_type": "default"}},
        {"rope_parameters": {"partial_rotary_factor": 0.34, "rope_theta": 500.0}},
        {"rope_parameters": {"partial_rotary_factor": 0.5, "rope_type": "default"}},  # 3 of 6
        {"hidden_act": "gelu", "tie_word_embeddings": True, "head_dim": 10},
    ],
)
def test_phi3_has_the_logits_of_transformers(neighbours, fields):
    config = neighbours.check(CLASS, fields)
    if "rope_parameters" in fields:
        assert config.rope_size in (2, 4)


@pytest.mark.parametrize("kind", ["longrope", "su", "yarn", "linear"])
def test_longrope_is_refused_by_each_of_its_names_and_any_other_rule(neighbours, kind):
    message = f"scales positions by the rule `{kind}`; mypt reads Phi-3 without"
    change = {"rope_parameters": {"rope_type": kind, "factor": 2.0}}
    neighbours.check_refused(CLASS, change, message)
    neighbours.edit({"rope_scaling": {"type": kind}}, without=("rope_parameters",))
    neighbours.check_refused(CLASS, {}, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention_bias": True}, "/attention_bias: is true"),
        ({"layer_types": ["sliding_attention"] * 3}, "/layer_types: contradicts sliding_window"),
        ({"partial_rotary_factor": 0.5}, "/partial_rotary_factor: contradicts"),
    ],
)
def test_what_phi3_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)
