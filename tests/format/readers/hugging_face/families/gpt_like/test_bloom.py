import pytest
import torch

pytest.importorskip("mypt_alibi")
CLASS = "BloomForCausalLM"


@pytest.fixture
def neighbours(open_models):
    return open_models(hidden_size=24, n_layer=2, n_head=4)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"hidden_size": 48, "n_head": 6},
        {"n_head": 1, "layer_norm_epsilon": 1e-3},
        {"tie_word_embeddings": False, "slow_but_exact": True},
        {"pretraining_tp": 2},
    ],
)
def test_bloom_has_the_logits_of_transformers(neighbours, fields):
    config = neighbours.check(CLASS, fields)
    assert config.pos_encoding == "alibi"
    assert config.embedding_norm


def test_half_precision_is_read_as_it_is(neighbours):
    neighbours.check(CLASS, {}, torch.float16)


def test_what_published_configs_have_is_let_pass(neighbours):
    neighbours.save(CLASS, {})
    neighbours.edit(
        {
            "attention_softmax_in_fp32": True,
            "bias_dropout_fusion": True,
            "masked_softmax_fusion": True,
            "n_embed": 24,
            "n_inner": None,
            "num_attention_heads": 4,
            "offset_alibi": 100,
            "seq_length": 4096,
            "skip_bias_add": True,
            "skip_bias_add_qkv": False,
            "unk_token_id": 0,
        },
        without=("dtype", "hidden_size", "n_head", "tie_word_embeddings"),
    )
    assert neighbours.read_config().block_size == 4096


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"apply_residual_connection_post_layernorm": True},
            "/apply_residual_connection_post_layernorm: adds the normed values",
        ),
        ({"slow_but_exact": True, "pretraining_tp": 2}, "/slow_but_exact: is true beside"),
        ({"n_embed": 48}, "/n_embed: is 48 here and 24 under its other name"),
        ({"n_inner": 20}, "/n_inner: is 20"),
        ({"rope_theta": 500.0}, "/rope_theta: is not known"),
    ],
)
def test_what_bloom_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)


OURS = {"pos_encoding": "alibi", "embedding_norm": True, "mlp_type": "gelu_tanh", "mlp_hidden": 96}


@pytest.mark.parametrize(
    "fields",
    [
        {"bias": True, "head_bias": False},
        {"bias": True, "head_bias": False, "tie_weights": True},
    ],
)
def test_a_model_that_it_can_say_is_written_for_its_class(check_written, fields):
    check_written(CLASS, OURS | fields)
