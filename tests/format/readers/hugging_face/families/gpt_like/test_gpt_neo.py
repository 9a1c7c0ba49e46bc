import pytest
import torch

CLASS = "GPTNeoForCausalLM"
LOCAL, WHOLE = "local", "global"


@pytest.fixture
def neighbours(open_models):
    sizes = {"hidden_size": 24, "num_layers": 4, "num_heads": 4, "max_position_embeddings": 16}
    types = {"attention_types": [[[WHOLE, LOCAL], 2]], "window_size": 4}
    return open_models(**sizes, **types)


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({}, "FS"),
        ({"attention_types": [[[LOCAL], 3], [[WHOLE], 1]], "window_size": 1}, "SSSF"),
        ({"attention_types": [[[LOCAL], 4]]}, None),
        ({"attention_types": [[[WHOLE], 4]], "tie_word_embeddings": False}, None),
        ({"intermediate_size": 20, "activation_function": "silu"}, "FS"),
        ({"layer_norm_epsilon": 1e-3, "window_size": 300}, "FS"),
    ],
)
def test_gpt_neo_has_the_logits_of_transformers(neighbours, fields, pattern):
    config = neighbours.check(CLASS, fields)
    assert config.window_pattern == pattern
    assert config.attention_scale == 1.0


def test_a_model_without_types_alternates(open_models):
    sizes = {"hidden_size": 8, "num_layers": 24, "num_heads": 2, "max_position_embeddings": 16}
    assert open_models(**sizes).check(CLASS, {"window_size": 4}).window_pattern == "FS"


def test_half_precision_is_read_as_it_is(neighbours):
    neighbours.check(CLASS, {}, torch.float16)


def test_what_published_configs_have_is_let_pass(neighbours):
    neighbours.save(CLASS, {})
    neighbours.edit(
        {
            "attention_layers": [WHOLE, LOCAL] * 2,
            "attention_dropout": 0,
            "embed_dropout": 0,
            "resid_dropout": 0,
            "gradient_checkpointing": False,
            "summary_type": "cls_index",
            "summary_use_proj": True,
            "torch_dtype": "float32",
        },
        without=("dtype", "tie_word_embeddings"),
    )
    assert neighbours.read_config().window_pattern == "FS"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention_layers": [WHOLE] * 4}, "/attention_layers: contradicts attention_types"),
        ({"attention_types": [[["sparse"], 4]], "attention_layers": None}, "is 'sparse' for a"),
        ({"attention_types": [[[LOCAL], 3]], "attention_layers": None}, "are of 3 layers"),
        ({"attention_types": [[[LOCAL], 10**9]], "attention_layers": None}, "is not of the form"),
        (
            {"attention_types": [[[LOCAL], 10**5]] * 9, "attention_layers": None},
            "is not of the form",
        ),
        ({"attention_types": "local"}, "/attention_types: is not of the form"),
        ({"window_size": 0}, "window_size: is 0, not a positive whole number"),
        ({"scale_attn_weights": True}, "/scale_attn_weights: is not known"),
    ],
)
def test_what_gpt_neo_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)


OURS = {"bias": True, "qkv_bias": False, "head_bias": False, "attn_scale": 1.0}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sliding_window": 4, "window_pattern": "FSS", "mlp_hidden": 20},
        {"sliding_window": 4, "tie_weights": True},
    ],
)
def test_a_model_that_it_can_say_is_written_for_its_class(check_written, fields):
    check_written(CLASS, OURS | fields)
