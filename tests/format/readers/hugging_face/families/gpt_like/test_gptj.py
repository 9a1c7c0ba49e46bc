import pytest
import torch

CLASS = "GPTJForCausalLM"


@pytest.fixture
def neighbours(open_models):
    return open_models(n_positions=16, n_embd=24, n_layer=2, n_head=3, rotary_dim=4)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rotary_dim": 8, "n_inner": 20},
        {"rotary_dim": 2, "activation_function": "relu", "tie_word_embeddings": True},
        {"layer_norm_epsilon": 1e-3, "n_head": 1},
    ],
)
def test_gptj_has_the_logits_of_transformers(neighbours, fields):
    config = neighbours.check(CLASS, fields)
    assert config.block_type == "parallel"
    assert config.has_head_bias


def test_half_precision_is_read_as_it_is(neighbours):
    neighbours.check(CLASS, {}, torch.float16)


def test_what_published_configs_have_is_let_pass(neighbours):
    neighbours.save(CLASS, {})
    neighbours.edit(
        {
            "gradient_checkpointing": False,
            "rotary": True,
            "scale_attn_weights": True,
            "summary_type": "cls_index",
            "tokenizer_class": "GPT2Tokenizer",
            "task_specific_params": {"text-generation": {"do_sample": True}},
        },
        without=("dtype",),
    )
    assert neighbours.read_config().rope_size == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rotary_dim": None}, "rotary_dim: is missing"),
        ({"rotary_dim": 10}, "/rope_size: is 10, but heads are 8 wide"),
        ({"rotary": False}, "/rotary: is false"),
        ({"scale_attn_weights": False}, "/scale_attn_weights: is false"),
        ({"rope_theta": 500.0}, "/rope_theta: is not known"),
        ({"activation_function": "mish"}, "/activation_function: is mish"),
    ],
)
def test_what_gptj_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)


OURS = {"head_bias": True, "pos_encoding": "rope", "block_type": "parallel"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rope_size": 4, "mlp_type": "gelu_tanh", "tie_weights": True},
    ],
)
def test_a_model_that_it_can_say_is_written_for_its_class(check_written, fields):
    check_written(CLASS, OURS | fields)
