import pytest
import torch

import mypt
from tests.support.neighbour_models import IDS

CODE_OF_PHI3 = {
    "AutoConfig": "configuration_phi3.Phi3Config",
    "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
}
OF_GEMMA = {"cache_implementation": "hybrid", "transformers_version": "4.42.0.dev0"}
# Keys of published configs, besides those that release 5 writes.
PUBLISHED = {
    "LlamaForCausalLM": {
        "is_llama_config": True,
        "pretraining_tp": 1,
        "rope_interleaved": False,
        "rope_scaling": None,
        "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}},
    },
    "MistralForCausalLM": {"rope_theta": 10000.0, "pad_token_id": 0},
    "Qwen2ForCausalLM": {"max_window_layers": 21, "use_mrope": False, "rope_scaling": None},
    "Qwen3ForCausalLM": {"max_window_layers": 28, "rope_scaling": None},
    "GemmaForCausalLM": {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"},
    "Gemma2ForCausalLM": {**OF_GEMMA, "hidden_act": "gelu_pytorch_tanh", "sliding_window_size": 4},
    "Gemma3ForCausalLM": {**OF_GEMMA, "sliding_window_pattern": 6, "rope_scaling": None},
    "Phi3ForCausalLM": {
        "attention_bias": False,
        "auto_map": CODE_OF_PHI3,
        "full_attn_mod": 1,
        "interpolate_factor": 1,
        "lm_head_bias": False,
        "mlp_bias": False,
    },
    "OlmoForCausalLM": {"clip_qkv": None, "rope_scaling": None},
    "Olmo2ForCausalLM": {"rope_scaling": None},
    "SmolLM3ForCausalLM": {"max_window_layers": 28, "pretraining_tp": 2},
    "StableLmForCausalLM": {"partial_rotary_factor": 0.25, "rope_scaling": None},
    "Starcoder2ForCausalLM": {
        "activation_function": "gelu",
        "attention_softmax_in_fp32": True,
        "layer_norm_epsilon": 1e-05,
        "mlp_type": "default",
        "norm_type": "layer_norm",
        "scale_attention_softmax_in_fp32": True,
        "scale_attn_weights": True,
    },
    "GraniteForCausalLM": {"rope_scaling": None},
}


def test_dropout_is_told_of(neighbours):
    neighbours.save("LlamaForCausalLM", {"attention_dropout": 0.25})
    info = mypt.get_model_info(neighbours.folder, plugins=neighbours.plugins)
    assert info["config"]["dropout"] == 0.25
    assert "dropout is `attention_dropout`, for the other parts as well" in info["notes"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_keys_of_published_configs_are_let_pass(neighbours, name):
    head = {"head_dim": 8} if name.startswith(("Gemma", "Qwen3")) else {}
    theirs = neighbours.save(name, {"hidden_size": 32, **head})
    neighbours.edit(PUBLISHED[name])
    ours = mypt.load(neighbours.folder, plugins=neighbours.plugins).eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(IDS), theirs(IDS).logits, atol=1e-5, rtol=0)
