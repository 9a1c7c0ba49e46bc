import pytest
import torch

CLASS = "PhiForCausalLM"


@pytest.mark.parametrize(
    "fields",
    [
        {"num_attention_heads": 3, "num_key_value_heads": None},
        {"num_attention_heads": 3, "num_key_value_heads": 1, "layer_norm_eps": 1e-3},
        {"hidden_size": 32, "qk_layernorm": True, "hidden_act": "gelu"},
        {"hidden_size": 32, "partial_rotary_factor": 1.0, "tie_word_embeddings": True},
        {"head_dim": 12},
        {"partial_rotary_factor": 0.1},
        {
            "hidden_size": 32,
            "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0},
        },
        {
            "hidden_size": 32,
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 4,
                "partial_rotary_factor": 0.5,
            },
        },
    ],
)
def test_phi_has_the_logits_of_transformers(neighbours, fields):
    config = neighbours.check(CLASS, fields)
    assert config.has_head_bias


def test_half_precision_is_read_as_it_is(neighbours):
    neighbours.check(CLASS, {"hidden_size": 32}, torch.float16)


def test_what_published_configs_have_is_let_pass(neighbours):
    neighbours.save(CLASS, {"hidden_size": 32})
    code = {"AutoConfig": "configuration_phi.PhiConfig"}
    neighbours.edit(
        {
            "auto_map": code | {"AutoModelForCausalLM": "modeling_phi.PhiForCausalLM"},
            "partial_rotary_factor": 0.5,
            "rope_scaling": None,
            "rope_theta": 10000.0,
        },
        without=("dtype", "rope_parameters"),
    )
    assert neighbours.read_config().rope_size == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qk_layernorm": True, "head_dim": 12}, "/qk_layernorm: is true, but its class"),
        ({"hidden_size": 24}, "/partial_rotary_factor: makes 3 of 6 values of a head"),
        ({"hidden_act": "swiglu"}, "/hidden_act: is swiglu"),
        ({"bias": False}, "/bias: is not known"),
    ],
)
def test_what_phi_does_not_do_is_refused(neighbours, change, message):
    neighbours.save(CLASS, {"hidden_size": 32})
    neighbours.check_refused(CLASS, change, message)


OURS = {"head_bias": True, "pos_encoding": "rope", "bias": True, "block_type": "parallel"}


@pytest.mark.parametrize(
    "fields",
    [
        {"rope_size": 4, "n_kv_head": 2},
        {"qk_norm": "head", "tie_weights": True},
        {"head_size": 10, "rope_theta": 500.0},
    ],
)
def test_a_model_that_it_can_say_is_written_for_its_class(check_written, fields):
    check_written(CLASS, OURS | fields)
