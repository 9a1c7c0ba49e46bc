"""No key that changes what a class of `transformers` computes is ignored.

Each key of each config is changed, and each key of the other families is added. What mypt opens
then has the logits of the class with that config; the rest is refused.
"""

import json

import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from tests.support.neighbour_models import IDS, SIZES, NeighbourModels

CLASSES = {
    "LlamaForCausalLM": {},
    "MistralForCausalLM": {"sliding_window": 4},
    "Qwen2ForCausalLM": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "Qwen3ForCausalLM": {"head_dim": 6},
    "GemmaForCausalLM": {"head_dim": 6},
    "Gemma2ForCausalLM": {"head_dim": 6, "sliding_window": 4},
    "Gemma3ForCausalLM": {"head_dim": 6, "sliding_window": 4},
    "Phi3ForCausalLM": {},
    "OlmoForCausalLM": {},
    "Olmo2ForCausalLM": {},
    "SmolLM3ForCausalLM": {"no_rope_layer_interval": 2},
    "StableLmForCausalLM": {"hidden_size": 32},
    "Starcoder2ForCausalLM": {},
    "GraniteForCausalLM": {"attention_multiplier": 0.3},
    "GPTNeoXForCausalLM": {"hidden_size": 32},
    "PhiForCausalLM": {"hidden_size": 32},
}
UNKNOWN = {("GPTNeoXForCausalLM", "num_key_value_heads")}
# What says which class it is, how large (tests of damaged folders), and in which type.
KEPT = {"architectures", "model_type", "transformers_version", "dtype", "vocab_size"}
KEPT |= {"hidden_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings"}
FULL, SLIDING = "full_attention", "sliding_attention"
YARN = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 8}
OTHERS = {
    "alibi": [True],
    "add_cross_attention": [True],
    "attention_bias": [True],
    "attention_chunk_size": [4],
    "attention_multiplier": [2.0],
    "attn_logit_softcapping": [0.5],
    "clip_qkv": [0.1],
    "embedding_multiplier": [2.0],
    "final_logit_softcapping": [0.5],
    "head_dim": [6, 8],
    "hidden_act": ["gelu", "relu", "gelu_pytorch_tanh", "mish", "quick_gelu"],
    "hidden_activation": ["gelu", "relu"],
    "is_causal": [False],
    "layer_norm_eps": [0.1],
    "layer_types": [[FULL] * 3, [SLIDING] * 3, [SLIDING, FULL, FULL]],
    "logit_scale": [2.0],
    "logits_scaling": [2.0],
    "max_window_layers": [0, 2],
    "mlp_bias": [True],
    "no_rope_layer_interval": [3],
    "no_rope_layers": [[0, 1, 1]],
    "norm_epsilon": [0.1],
    "num_experts": [4],
    "num_key_value_heads": [1, 4, None],
    "original_max_position_embeddings": [8],
    "partial_rotary_factor": [0.5, 0.67],
    "pretraining_tp": [2],
    "qk_layernorm": [True],
    "query_pre_attn_scalar": [3],
    "residual_multiplier": [2.0],
    "rms_norm_eps": [0.1],
    "rope_interleaved": [True],
    "rope_local_base_freq": [7.0],
    "rope_scaling": [{"type": "linear", "factor": 2.0}, {"type": "dynamic", "factor": 2.0}, YARN],
    "rope_theta": [500.0],
    "rotary_pct": [0.5],
    "sliding_window": [2, None],
    "sliding_window_pattern": [2],
    "tie_word_embeddings": [True, False],
    "use_bias": [False],
    "use_bidirectional_attention": [True],
    "use_parallel_residual": [True],
    "use_qkv_bias": [True],
    "use_sliding_window": [True, False],
}
# Where release 4 has what release 5 has in `rope_parameters`.
OUTSIDE = ("rope_theta", "rope_scaling", "partial_rotary_factor", "rope_local_base_freq")


def list_others(value):
    """List values of the same type."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, max(1, value // 2)]
    return [value * 0.5 + 0.1] if isinstance(value, float) else []


def list_changes(held):
    """Yield changed configs."""
    for key in held.keys() - KEPT:
        for value in list_others(held[key]):
            yield held | {key: value}
    for key, values in OTHERS.items():
        for value in values:
            yield held | {key: value}
            if key in OUTSIDE:
                rest = {name: held[name] for name in held if name != "rope_parameters"}
                theta = held["rope_parameters"].get("rope_theta", 10000.0)
                yield {"rope_theta": theta, **rest, key: value}


def open_unless_refused(folder, plugins):
    try:
        return mypt.load(folder, plugins=plugins).eval()
    except FormatError as error:
        if "is not as the reader" in str(error):  # a failure, of which this is the report
            raise
        return None


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_a_changed_key_is_refused_or_has_its_effect(transformers, plugins, tmp_path, name):
    sizes = {key: SIZES[key] for key in SIZES if (name, key) not in UNKNOWN}
    neighbours = NeighbourModels(transformers, plugins, tmp_path / "model", sizes)
    neighbours.save(name, CLASSES[name])
    path = neighbours.folder / "config.json"
    opened = 0
    for changed in list_changes(json.loads(path.read_text("utf-8"))):
        path.write_text(json.dumps(changed))
        ours = open_unless_refused(neighbours.folder, plugins)
        if ours is None:
            continue
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            neighbours.folder, attn_implementation="eager"
        ).eval()
        with torch.no_grad():
            difference = (theirs(IDS).logits - ours(IDS)).abs().max()
        assert difference <= 1e-5, changed
        opened += 1
    assert opened > 10
