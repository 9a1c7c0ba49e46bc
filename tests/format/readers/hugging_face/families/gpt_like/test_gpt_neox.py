import pytest
import torch

CLASS = "GPTNeoXForCausalLM"
# Heads of 12 values, of which a quarter, 3, is an odd number.
ODD = {"hidden_size": 24, "num_attention_heads": 2}


@pytest.fixture
def neighbours(open_models):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    old_names = {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}
    return open_models(old_names, **sizes, intermediate_size=20, max_position_embeddings=16)


def rope(**fields):
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0, **fields}}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"use_parallel_residual": False, "layer_norm_eps": 1e-3},
        {"attention_bias": False, "tie_word_embeddings": True},
        {"hidden_act": "gelu_new"},
        {"rotary_pct": 0.0},
        {"rotary_pct": 1.0, "rotary_emb_base": 500},
        rope(partial_rotary_factor=0.5),
        rope(rope_type="linear", factor=2.0),
        rope(rope_type="dynamic", factor=2.0, partial_rotary_factor=0.5),
        rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=4, rope_theta=100.0),
    ],
)
def test_gpt_neox_has_the_logits_of_transformers(neighbours, fields):
    neighbours.check(CLASS, fields)


def test_an_odd_number_of_rotated_values_becomes_an_even_one(neighbours):
    config = neighbours.check(CLASS, ODD)
    assert config.rope_size == 4
    assert config.rope_theta == 10000.0 ** (4 / 3)


def test_half_precision_is_read_as_it_is(neighbours):
    neighbours.check(CLASS, {}, torch.float16)


@pytest.mark.parametrize("head", ["lm_head.weight", "embed_out.weight"])
def test_both_names_of_the_head_and_old_buffers_are_read(neighbours, head):
    def change(held):
        held[head] = held.pop("embed_out.weight")
        for layer in range(2):
            place = f"gpt_neox.layers.{layer}.attention"
            held[f"{place}.bias"] = torch.ones(1, 1, 16, 16, dtype=torch.bool).tril()
            held[f"{place}.masked_bias"] = torch.tensor(-1e9)
            held[f"{place}.rotary_emb.inv_freq"] = torch.ones(1)
        return held

    neighbours.save(CLASS, {})
    neighbours.edit_tensors(change)
    assert neighbours.read_config().n_layer == 2


@pytest.mark.parametrize(
    "change",
    [
        # of Pythia, and of a release that wrote both names
        {"rotary_pct": 0.25, "rotary_emb_base": 10000, "torch_dtype": "float16"},
        {"rotary_pct": 0.25, "partial_rotary_factor": 0.25, "rope_theta": 10000},
        {"rope_scaling": None, "classifier_dropout": 0.1},
    ],
)
def test_what_published_configs_have_is_let_pass(neighbours, change):
    neighbours.save(CLASS, {})
    neighbours.edit(change, without=("dtype", "rope_parameters"))
    assert neighbours.read_config().rope_size == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope_theta": 500.0}, "/rope_theta: is 500.0; the class reads rotary_emb_base"),
        ({"partial_rotary_factor": 0.5}, "/partial_rotary_factor: is 0.5; the class reads rotary"),
        ({"use_parallel_residual": "yes"}, "is 'yes', not true or false"),
        ({"head_dim": 8}, "/head_dim: is not known"),
        ({"num_key_value_heads": 2}, "/num_key_value_heads: is not known"),
        ({**ODD, **rope(rope_type="dynamic", factor=2.0)}, "/rotary_pct: makes 3 values"),
    ],
)
def test_what_gpt_neox_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)


OURS = {"pos_encoding": "rope", "head_bias": False}


@pytest.mark.parametrize(
    "fields",
    [
        {"bias": True, "rope_size": 2},
        {"block_type": "parallel_two_norms", "tie_weights": True, "rope_theta": 500.0},
        {"rope_scale": 2.0, "bias": True},
        {"n_embd": 44, "rope_size": 10},
    ],
)
def test_a_model_that_it_can_say_is_written_for_its_class(check_written, fields):
    check_written(CLASS, OURS | fields)
