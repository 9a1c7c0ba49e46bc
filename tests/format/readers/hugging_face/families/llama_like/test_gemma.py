import pytest

GELU = {"hidden_activation": "gelu"}
MIXED = ["full_attention", "sliding_attention", "sliding_attention"]
SLIDING = {"rope_type": "default", "rope_theta": 500.0}
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 2000.0}


@pytest.mark.parametrize(
    "fields",
    [
        {"head_dim": 6},
        {"head_dim": 10, "attention_bias": True, "tie_word_embeddings": False},
        {"head_dim": 6, "hidden_act": "relu", "num_key_value_heads": 1},
        {"head_dim": 6, "rope_parameters": LINEAR},
    ],
)
def test_gemma_has_the_logits_of_transformers(neighbours, fields):
    neighbours.check("GemmaForCausalLM", fields)


def test_gelu_of_gemma_is_what_its_first_releases_computed(neighbours):
    neighbours.save("GemmaForCausalLM", {"head_dim": 6})
    for change in (
        {"hidden_act": "gelu"},
        {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"},
        {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": None},
    ):
        neighbours.edit(change)
        assert neighbours.read_config().mlp_type == "geglu_tanh"
    neighbours.check("GemmaForCausalLM", {"head_dim": 6, "hidden_act": "gelu"})


@pytest.mark.parametrize(
    "fields",
    [
        {"head_dim": 6, "sliding_window": 4},
        {"head_dim": 10, "sliding_window": 4, "layer_types": MIXED, "query_pre_attn_scalar": 7},
        {"head_dim": 6, "layer_types": ["full_attention"] * 3, **GELU},
        {"head_dim": 6, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 2.0},
        {"head_dim": 6, "attn_logit_softcapping": None, "final_logit_softcapping": None},
        {"head_dim": 6, "attention_bias": True, "rms_norm_eps": 1e-3, "num_key_value_heads": 4},
    ],
)
def test_gemma2_has_the_logits_of_transformers(neighbours, fields):
    fields = {"attn_implementation": "eager", **fields}
    config = neighbours.check("Gemma2ForCausalLM", fields)
    neighbours.edit({}, without=("layer_types",))
    if "layer_types" not in fields:
        assert neighbours.read_config() == config


@pytest.mark.parametrize(
    "fields",
    [
        {"sliding_window": 4, "sliding_window_pattern": 2},
        {"sliding_window": 4, "layer_types": MIXED, "query_pre_attn_scalar": 7},
        {"layer_types": ["full_attention"] * 3, **GELU},
        {"final_logit_softcapping": 2.0, "attention_bias": True, "num_key_value_heads": 4},
        {
            "sliding_window": 4,
            "sliding_window_pattern": 3,
            "rope_parameters": {"full_attention": LINEAR, "sliding_attention": SLIDING},
        },
        {
            "layer_types": MIXED,
            "rope_parameters": {"full_attention": SLIDING, "sliding_attention": SLIDING},
        },
    ],
)
def test_gemma3_has_the_logits_of_transformers(neighbours, fields):
    config = neighbours.check("Gemma3ForCausalLM", {"head_dim": 6, **fields})
    rope = neighbours.transformers.AutoConfig.from_pretrained(neighbours.folder).rope_parameters
    full = dict(rope["full_attention"])
    outside = {
        "rope_theta": full.pop("rope_theta"),
        "rope_local_base_freq": rope["sliding_attention"]["rope_theta"],
        "rope_scaling": None if full["rope_type"] == "default" else full,
    }
    neighbours.edit(outside, without=("rope_parameters",))  # as release 4 writes it
    assert neighbours.read_config() == config


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        ("", {"hidden_activation": "relu"}, "/hidden_activation: contradicts hidden_act"),
        ("", {"use_bidirectional_attention": True}, "/use_bidirectional_attention: is true"),
        ("", {"attn_logit_softcapping": 3.0}, "/attn_logit_softcapping: is not known"),
        ("2", {"hidden_act": "relu"}, "/hidden_act: contradicts hidden_activation"),
        ("2", {"query_pre_attn_scalar": 0}, "/query_pre_attn_scalar: is 0, not above 0"),
        ("2", {"sliding_window": None}, "sliding_window: is missing"),
        ("2", {"final_logit_softcapping": -1.0}, "/logit_soft_cap"),
        ("3", {"rope_parameters": {"rope_type": "default"}}, "/rope_parameters/rope_type: is not"),
        ("3", {"rope_local_base_freq": 3.0}, "/rope_theta: contradicts"),
        ("3", {"attn_logit_softcapping": 3.0}, "/attn_logit_softcapping: is 3"),
        ("3", {"use_bidirectional_attention": True}, "/use_bidirectional_attention: is true"),
        (
            "3",
            {"rope_parameters": {"sliding_attention": LINEAR, "full_attention": SLIDING}},
            "/rope_parameters/sliding_attention: scales the positions of windowed layers",
        ),
    ],
)
def test_what_gemma_does_not_do_is_refused(neighbours, number, change, message):
    neighbours.check_refused(f"Gemma{number}ForCausalLM", change, message)
