import pytest
import torch

CLASS = "FalconForCausalLM"
NEW = {"new_decoder_architecture": True, "num_kv_heads": 2}
MANY = {"multi_query": False}


@pytest.fixture
def neighbours(open_models):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    return open_models(**sizes, max_position_embeddings=16)


@pytest.mark.parametrize(
    ("fields", "block_type", "kv_heads"),
    [
        ({}, "parallel", 1),
        ({"parallel_attn": False}, "pre_norm", 1),
        (MANY, "parallel", 4),
        (MANY | {"bias": True, "parallel_attn": False}, "pre_norm", 4),
        (NEW, "parallel_two_norms", 2),
        (NEW | {"num_kv_heads": 1, "bias": True}, "parallel_two_norms", 1),
        (NEW | {"num_kv_heads": 4}, "parallel_two_norms", 4),
        (NEW | {"num_ln_in_parallel_attn": 1, "multi_query": False}, "parallel", 2),
        ({"num_ln_in_parallel_attn": 1, "ffn_hidden_size": 20}, "parallel", 1),
        ({"activation": "relu", "layer_norm_epsilon": 1e-3}, "parallel", 1),
        ({"tie_word_embeddings": False}, "parallel", 1),
        ({"bias": None, "alibi": None, "num_ln_in_parallel_attn": 3}, "parallel", 1),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0}}, "parallel", 1),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}, "parallel", 1),
    ],
)
def test_falcon_has_the_logits_of_transformers(neighbours, fields, block_type, kv_heads):
    config = neighbours.check(CLASS, fields)
    assert (config.block_type, config.kv_heads) == (block_type, kv_heads)


@pytest.mark.parametrize(
    "fields",
    [
        MANY | {"bias": True, "parallel_attn": False},  # of falcon-rw
        {"hidden_size": 96, "num_attention_heads": 12},
        NEW,
    ],
)
def test_its_biases_of_distance_are_those_of_transformers(neighbours, fields):
    pytest.importorskip("mypt_alibi")
    config = neighbours.check(CLASS, {"alibi": True, **fields})
    assert config.plugins == {"mypt-alibi": {"factor": 8**-0.5, "dtype": "bfloat16"}}


def test_half_precision_is_read_as_it_is(neighbours):
    neighbours.check(CLASS, {}, torch.bfloat16)


def test_what_published_configs_have_is_let_pass(neighbours):
    neighbours.save(CLASS, {})
    code = {"AutoConfig": "configuration_falcon.FalconConfig"}
    code["AutoModelForCausalLM"] = "modeling_falcon.FalconForCausalLM"
    neighbours.edit(
        {"apply_residual_connection_post_layernorm": False, "auto_map": code},
        without=(
            *("dtype", "activation", "ffn_hidden_size", "max_position_embeddings"),
            *("num_kv_heads", "num_ln_in_parallel_attn", "rope_parameters"),
        ),
    )
    assert neighbours.read_config().block_size == 2048


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (MANY | {"num_kv_heads": 2}, "/num_kv_heads: is 2; without new_decoder_architecture"),
        (NEW | {"parallel_attn": False}, "/parallel_attn: is false beside new_decoder"),
        ({"num_ln_in_parallel_attn": 2}, "/num_ln_in_parallel_attn: is 2, with which its class"),
        ({"partial_rotary_factor": 0.5}, "/partial_rotary_factor: is 0.5"),
        ({"alibi": "no"}, "alibi: is 'no', not true or false"),
        (NEW | {"num_ln_in_parallel_attn": 3}, "/num_ln_in_parallel_attn: is 3, with which"),
        ({"auto_map": {"AutoModel": "modeling_mine.Falcon"}}, "/auto_map: names code of its own"),
        ({"apply_residual_connection_post_layernorm": True}, "_post_layernorm: is true"),
    ],
)
def test_what_falcon_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)


OURS = {"pos_encoding": "rope", "head_bias": False, "mlp_bias": False}


@pytest.mark.parametrize(
    "fields",
    [
        {"n_kv_head": 1, "block_type": "parallel"},
        {"block_type": "parallel", "bias": True, "mlp_bias": True},
        {"n_kv_head": 2, "block_type": "parallel"},
        {"n_kv_head": 2, "block_type": "parallel_two_norms"},
        {"block_type": "parallel_two_norms", "tie_weights": True},
        {"n_kv_head": 1},
        {"rope_theta": 500.0},
    ],
)
def test_a_model_that_it_can_say_is_written_for_its_class(check_written, fields):
    check_written(CLASS, OURS | fields)


def test_its_biases_of_distance_are_written_as_well(check_written):
    pytest.importorskip("mypt_alibi")
    settings = {"mypt-alibi": {"factor": 6**-0.5, "dtype": "bfloat16"}}
    check_written(CLASS, OURS | {"pos_encoding": "alibi", "plugins": settings})
