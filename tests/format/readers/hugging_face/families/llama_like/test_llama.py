import pytest
import torch

CLASS = "LlamaForCausalLM"
SCALED = {"rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 8}
LLAMA3 = {**SCALED, "rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {**SCALED, "rope_type": "yarn"}


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "default", "rope_theta": 500.0},
        {"rope_type": "linear", "factor": 2.0},
        {"rope_type": "dynamic", "factor": 4.0},
        LLAMA3,
        {k: v for k, v in LLAMA3.items() if k != "original_max_position_embeddings"},
        YARN,
        {**YARN, "attention_factor": 1.5, "beta_fast": 8.0, "beta_slow": 0.5, "truncate": False},
        {**YARN, "mscale": 2.0},
        {**YARN, "mscale": 2.0, "mscale_all_dim": 0.7},
        {**YARN, "attention_factor": 1.5, "mscale": 2.0, "mscale_all_dim": 0.7},
        {**YARN, "factor": None},
    ],
)
def test_every_rule_of_rotation_has_the_logits_of_transformers(neighbours, rope):
    neighbours.check(CLASS, {"rope_parameters": rope})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"attention_bias": True, "mlp_bias": True},
        {"hidden_act": "gelu_pytorch_tanh", "head_dim": 10, "num_key_value_heads": None},
        {"hidden_act": "relu", "tie_word_embeddings": True, "rms_norm_eps": 1e-3},
    ],
)
def test_llama_has_the_logits_of_transformers(neighbours, fields):
    neighbours.check(CLASS, fields)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_it_is(neighbours, dtype):
    neighbours.check(CLASS, {}, dtype)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rms_norm_eps": None}, "rms_norm_eps: is missing"),
        ({"rms_norm_eps": "1e-6"}, "rms_norm_eps: is '1e-6', not a number"),
        ({"rope_theta": 1.0}, "/rope_theta: contradicts rope_parameters/rope_theta"),
        ({"partial_rotary_factor": 0.5}, "/partial_rotary_factor: is 0.5, but this class"),
        ({"sliding_window": 4}, "/sliding_window: is 4"),
        ({"hidden_act": "xielu"}, "/hidden_act: is xielu"),
        ({"qk_layernorm": True}, "/qk_layernorm: is not known"),
    ],
)
def test_what_llama_does_not_do_is_refused(neighbours, change, message):
    neighbours.check_refused(CLASS, change, message)
