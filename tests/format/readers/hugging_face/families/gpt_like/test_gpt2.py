import pytest
import torch

from mypt.format.readers.hugging_face.families.activations import PLAIN

CLASS = "GPT2LMHeadModel"


@pytest.fixture
def neighbours(open_models):
    return open_models(n_positions=16, n_embd=24, n_layer=3, n_head=4)


@pytest.mark.parametrize("name", PLAIN)
def test_every_activation_has_the_logits_of_transformers(neighbours, name):
    assert neighbours.check(CLASS, {"activation_function": name}).mlp_type == PLAIN[name]


@pytest.mark.parametrize(
    "fields",
    [
        {"n_inner": 20, "layer_norm_epsilon": 1e-3, "tie_word_embeddings": False},
        {"scale_attn_weights": False, "reorder_and_upcast_attn": True},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False},
        {"n_head": 1},
    ],
)
def test_gpt2_has_the_logits_of_transformers(neighbours, fields):
    neighbours.check(CLASS, fields)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_it_is(neighbours, dtype):
    neighbours.check(CLASS, {}, dtype)


def test_what_published_configs_have_is_let_pass(neighbours):
    neighbours.save(CLASS, {})
    neighbours.edit(
        {
            "activation_function": "gelu_new",
            "n_ctx": 1024,
            "summary_type": "cls_index",
            "summary_use_proj": True,
            "summary_activation": None,
            "summary_first_dropout": 0.1,
            "summary_proj_to_labels": True,
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        },
        without=("dtype", "tie_word_embeddings", "scale_attn_by_inverse_layer_idx"),
    )
    assert neighbours.read_config().n_layer == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(
            ({"activation_function": name}, f"/activation_function: is {name}; mypt has gelu_new")
            for name in ("gelu_10", "mish", "leaky_relu", "sigmoid", "linear", "laplace", "relu6")
        ),
        ({"add_cross_attention": True}, "/add_cross_attention: adds attention to another model"),
        ({"scale_attn_by_inverse_layer_idx": 1}, "is 1, not true or false"),
        ({"layer_norm_epsilon": None}, "layer_norm_epsilon: is missing"),
        ({"rotary_dim": 4}, "/rotary_dim: is not known"),
        ({"architectures": ["GPT2DoubleHeadsModel"]}, "/architectures: is GPT2DoubleHeadsModel"),
    ],
)
def test_what_gpt2_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)


OURS = {"bias": True, "head_bias": False}


@pytest.mark.parametrize(
    "fields",
    [
        {"tie_weights": True, "attn_scale": 1.0, "norm_eps": 1e-3},
        *({"mlp_type": name, "mlp_hidden": 20} for name in sorted(set(PLAIN.values()))),
    ],
)
def test_a_model_that_it_can_say_is_written_for_its_class(check_written, fields):
    check_written(CLASS, OURS | fields)
