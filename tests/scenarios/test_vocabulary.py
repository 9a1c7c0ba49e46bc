"""The fields of a config suffice for the models of others: their weights give their logits.

Readers are not at work here. For each family a config is written down, and a small table brings the
names and the order of rows of its program to those of the format.
"""

import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from mypt.format.documents.config import GPTConfig
from mypt.format.tensors import safetensors
from mypt.model.transformer import Transformer
from tests.support.paths import FIXTURES

NEIGHBOURS = FIXTURES / "neighbours"
pytestmark = pytest.mark.skipif(
    not NEIGHBOURS.is_dir(), reason="the checkpoints of neighbours are not beside this checkout"
)

# What other programs call the places of the format, outside of layers and inside.
OUTSIDE = {
    "token_embedding_table": "embed_tokens embed_in wte word_embeddings",
    "token_embedding_table.norm": "word_embeddings_layernorm",
    "position_embedding_table": "embed_positions wpe",
    "ln_f": "norm final_layernorm final_layer_norm ln_f",
    "lm_head": "lm_head embed_out",
}
INSIDE = {
    "ln1": "input_layernorm ln_1 self_attn_layer_norm",
    "ln2": "post_attention_layernorm ln_2 final_layer_norm",
    "sa.q": "self_attn.q_proj attn.q_proj attn.attention.q_proj",
    "sa.k": "self_attn.k_proj attn.k_proj attn.attention.k_proj",
    "sa.v": "self_attn.v_proj attn.v_proj attn.attention.v_proj",
    "sa.qkv": "attention.query_key_value self_attention.query_key_value self_attn.qkv_proj"
    " attn.c_attn",
    "sa.q_norm": "self_attn.q_norm",
    "sa.k_norm": "self_attn.k_norm",
    "sa.proj": "self_attn.o_proj self_attn.out_proj self_attn.dense attention.dense"
    " self_attention.dense attn.out_proj attn.attention.out_proj attn.c_proj",
    "fwd.net.0": "mlp.fc1 fc1 mlp.fc_in mlp.dense_h_to_4h mlp.c_fc",
    "fwd.net.2": "mlp.fc2 fc2 mlp.fc_out mlp.dense_4h_to_h mlp.c_proj",
    "fwd.w_gate": "mlp.gate_proj",
    "fwd.w_up": "mlp.up_proj",
    "fwd.w_down": "mlp.down_proj",
    "fwd.gate_up": "mlp.gate_up_proj",
}
PLACES = [
    {n: place for place, names in by.items() for n in names.split()} for by in (OUTSIDE, INSIDE)
]
AROUND = {  # norms after attention and feed-forward part
    "post_attention_layernorm": "ln1_post",
    "pre_feedforward_layernorm": "ln2",
    "post_feedforward_layernorm": "ln2_post",
}
BEHIND = {"post_attention_layernorm": "ln1", "post_feedforward_layernorm": "ln2"}

LLAMA = {
    "pos_encoding": "rope",
    "mlp_type": "swiglu",
    "norm_type": "rmsnorm",
    "head_bias": False,
}
FOUR, HALF = {"n_head": 4}, {"n_head": 4, "n_kv_head": 2}
GPT2 = FOUR | {"bias": True, "head_bias": False, "tie_weights": True}
GEMMA = LLAMA | {
    "head_size": 16,
    "mlp_type": "geglu_tanh",
    "norm_offset": 1.0,
    "embedding_scale": 32**0.5,
    "tie_weights": True,
}
SCALING = {"factor": 8.0, "original_block_size": 16}
LLAMA3 = {"kind": "llama3", **SCALING, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"kind": "yarn", **SCALING, "factor": 4.0}
FAMILIES = {
    "hf_bloom": GPT2 | {"pos_encoding": "alibi", "mlp_type": "gelu_tanh", "embedding_norm": True},
    "hf_falcon": FOUR
    | {"n_kv_head": 1, "pos_encoding": "rope", "block_type": "parallel", "mlp_bias": False}
    | {"head_bias": False, "tie_weights": True},
    "hf_gemma": GEMMA | {"n_head": 4, "n_kv_head": 1},
    "hf_gemma2": GEMMA
    | HALF
    | {"block_type": "sandwich_norm", "attn_soft_cap": 50.0, "logit_soft_cap": 30.0}
    | {"sliding_window": 8, "window_pattern": "SF"},
    "hf_gpt2_act_silu": GPT2 | {"mlp_type": "silu"},
    "hf_gpt_neo": GPT2
    | {"mlp_type": "gelu_tanh", "qkv_bias": False, "attn_scale": 1.0}
    | {"sliding_window": 8, "window_pattern": "FS"},
    "hf_gpt_neox": FOUR
    | {"bias": True, "pos_encoding": "rope", "rope_size": 2, "head_bias": False}
    | {"block_type": "parallel_two_norms"},
    "hf_gptj": FOUR
    | {"head_bias": True}
    | {"pos_encoding": "rope", "rope_size": 4, "mlp_type": "gelu_tanh", "block_type": "parallel"},
    "hf_granite": LLAMA
    | HALF
    | {"embedding_scale": 3.0, "residual_scale": 0.7, "logit_scale": 0.5, "attn_scale": 0.2},
    "hf_llama_gqa": LLAMA | HALF,
    "hf_llama_rope_llama3": LLAMA | FOUR | {"rope_scaling": LLAMA3},
    "hf_llama_rope_yarn": LLAMA | FOUR | {"rope_scaling": YARN},
    "hf_mistral": LLAMA | HALF | {"sliding_window": 8},
    "hf_olmo2": LLAMA
    | HALF
    | {"block_type": "res_post_norm", "qk_norm": "width", "norm_eps": 1e-5},
    "hf_opt": GPT2 | {"mlp_type": "relu"},
    "hf_phi": FOUR
    | {"head_bias": True}
    | {"bias": True, "pos_encoding": "rope", "rope_size": 4, "mlp_type": "gelu_tanh"}
    | {"block_type": "parallel"},
    "hf_phi3": LLAMA | HALF | {"norm_eps": 1e-5},
    "hf_qwen2": LLAMA | HALF | {"qkv_bias": True},
    "hf_qwen3": LLAMA | HALF | {"head_size": 16, "qk_norm": "head"},
    "hf_smollm3": LLAMA | HALF | {"rope_theta": 2e6, "tie_weights": True},
    "hf_stablelm": LLAMA | HALF | {"norm_type": "layernorm", "rope_size": 2},
}
NORMS = {"hf_gemma2": AROUND, "hf_olmo2": BEHIND}
TRANSPOSED = {"hf_gpt2_act_silu"}
HEAD_BY_HEAD = {"hf_gpt_neox", "hf_bloom"}  # the rows of query, key and value of each head
NEIGHBOURING = {"hf_gptj"}  # rotates pairs of neighbouring values


def read_config(name):
    held = json.loads((NEIGHBOURS / name / "config.json").read_text("utf-8"))

    def first(*keys):
        return next(held[key] for key in keys if held.get(key) is not None)

    return GPTConfig(
        **{
            "block_size": held.get("max_position_embeddings", held.get("n_positions", 64)),
            "vocab_size": held["vocab_size"],
            "n_embd": first("hidden_size", "n_embd"),
            "n_layer": first("num_hidden_layers", "num_layers", "n_layer"),
            "mlp_hidden": held.get("intermediate_size") or held.get("ffn_dim"),
            "dropout": 0.0,
            **FAMILIES[name],
        }
    )


def read_tensors(name, config):
    """Give the tensors of a neighbour under the names of the format, its rows in that order."""
    path = NEIGHBOURS / name / "model.safetensors"
    outside, inside = PLACES
    found = {}
    for theirs, tensor in safetensors.load(path, path.name).items():
        place, _, kind = theirs.rpartition(".")
        layer = re.search(r"(?:layers|h)\.(\d+)\.(.*)", place)
        if layer is None:
            ours = outside[place.rpartition(".")[2]]
        else:
            ours = f"blocks.{layer[1]}.{(inside | NORMS.get(name, {}))[layer[2]]}"
        turned = name in TRANSPOSED and layer is not None and tensor.dim() == 2
        found[f"{ours}.{kind}"] = tensor.T.contiguous() if turned else tensor
    found.setdefault("lm_head.weight", found["token_embedding_table.weight"])
    if name == "hf_opt":  # its positions count from 2
        found["position_embedding_table.weight"] = found["position_embedding_table.weight"][2:]
    for place in [place for place in found if ".fwd.gate_up." in place]:
        gate, up = found.pop(place).chunk(2)
        found[place.replace("gate_up", "w_gate")], found[place.replace("gate_up", "w_up")] = (
            gate,
            up,
        )
    return found | order_rows(found, name, config)


def order_rows(found, name, config):
    """Join the rows of queries, keys and values, each head by head."""
    joined = {}
    for place in [place for place in found if re.search(r"\.sa\.(q|qkv)\.", place)]:
        if ".qkv." not in place:
            parts = [found.pop(place.replace(".q.", f".{part}.")) for part in "qkv"]
            if name in NEIGHBOURING:
                parts[:2] = [split_pairs(part, config) for part in parts[:2]]
            rows = torch.cat(parts)
        elif name in HEAD_BY_HEAD:
            heads = found[place].unflatten(0, (config.n_head, 3, config.head_width))
            rows = heads.transpose(0, 1).flatten(0, 2)
        else:
            rows = found[place]
        joined[place.replace(".q.", ".qkv.")] = rows
    return joined


def split_pairs(rows, config):
    """Order the rotated rows of each head: the first of each pair, then the second ones."""
    heads = rows.unflatten(0, (config.n_head, config.head_width)).clone()
    turned = heads[:, : config.rope_size]
    heads[:, : config.rope_size] = torch.cat([turned[:, ::2], turned[:, 1::2]], dim=1)
    return heads.flatten(0, 1)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_weights_of_a_family_have_its_logits(name, plugins):
    if name == "hf_bloom" and find_spec("mypt_alibi") is None:
        pytest.skip("mypt_alibi is not installed")
    expected = json.loads((NEIGHBOURS / name / "expected.json").read_text("utf-8"))
    config = read_config(name)
    model = Transformer(config, plugins).eval()
    model.load_weights(read_tensors(name, config))
    with torch.no_grad():
        found = model(torch.tensor([expected["prompt_ids"]]))[0]
    wanted = np.load(NEIGHBOURS / name / expected["logits_file"]).reshape(found.shape)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5, rtol=0)
