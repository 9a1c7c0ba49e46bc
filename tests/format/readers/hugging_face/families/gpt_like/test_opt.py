import pytest
import torch

CLASS = "OPTForCausalLM"


@pytest.fixture
def neighbours(open_models):
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    return open_models(**sizes, ffn_dim=20, max_position_embeddings=16)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"do_layer_norm_before": False},
        {"do_layer_norm_before": False, "_remove_final_layer_norm": True},
        {"_remove_final_layer_norm": True, "tie_word_embeddings": False},
        {"enable_bias": False},
        # of Galactica
        {
            "enable_bias": False,
            "layer_norm_elementwise_affine": False,
            "activation_function": "gelu",
        },
        {"layer_norm_elementwise_affine": False, "do_layer_norm_before": False},
        {"pad_token_id": 1, "activation_function": "gelu_new"},
    ],
)
def test_opt_has_the_logits_of_transformers(neighbours, fields):
    neighbours.check(CLASS, fields)


def test_half_precision_is_read_as_it_is(neighbours):
    neighbours.check(CLASS, {}, torch.float16)


def test_what_published_configs_have_is_let_pass(neighbours):
    neighbours.save(CLASS, {})
    neighbours.edit(
        {
            "activation_dropout": 0.0,
            "init_std": 0.02,
            "layerdrop": 0.0,
            "learned_embeddings": True,
            "prefix": "</s>",
            "scale_embeddings": False,
            "word_embed_proj_dim": None,
        },
        without=("dtype", "enable_bias", "layer_norm_elementwise_affine", "tie_word_embeddings"),
    )
    assert neighbours.read_config().mlp_type == "relu"


def test_the_names_of_early_files_are_read(neighbours):
    neighbours.save(CLASS, {})
    neighbours.edit_tensors(lambda held: {n.removeprefix("model."): held[n] for n in held})
    assert neighbours.read_config().n_layer == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"word_embed_proj_dim": 12}, "/word_embed_proj_dim: is 12, but hidden_size 24"),
        ({"scale_embeddings": True}, "/scale_embeddings: is true"),
        ({"learned_embeddings": False}, "/learned_embeddings: is false"),
        ({"enable_bias": None}, "enable_bias: is None, not true or false"),
        ({"layer_norm_epsilon": 1e-3}, "/layer_norm_epsilon: is not known"),
        ({"activation_function": "mish"}, "/activation_function: is mish"),
        ({"max_position_embeddings": 15}, "embed_positions.weight: has shape .18, 24., not .17"),
    ],
)
def test_what_opt_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)


OURS = {"bias": True, "head_bias": False}


@pytest.mark.parametrize(
    "fields",
    [
        {"block_type": "post_norm", "bias": False, "mlp_bias": False},
        {"block_type": "post_norm", "tie_weights": True},
        {"bias": False, "mlp_bias": False, "norm_weight": False},
        {"final_norm": False},
    ],
)
def test_a_model_that_it_can_say_is_written_for_its_class(check_written, fields):
    check_written(CLASS, OURS | fields)
