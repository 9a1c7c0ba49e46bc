"""Names of Hugging Face's GPT-2 and Llama for mypt's tensors, and their configs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.layout import EMBEDDING, HEAD, POSITIONS
from mypt.format.readers.hugging_face.families.rope import describe_rotation
from mypt.format.readers.shared.gpt2_names import INSIDE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from mypt.format.documents.config import GPTConfig

Tensors = dict[str, "Tensor"]
GPT2_ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_new"}
_LLAMA_INSIDE = {
    "ln1": "input_layernorm",
    "sa.proj": "self_attn.o_proj",
    "ln2": "post_attention_layernorm",
    "fwd.w_gate": "mlp.gate_proj",
    "fwd.w_up": "mlp.up_proj",
    "fwd.w_down": "mlp.down_proj",
}


def gpt2_config(config: GPTConfig) -> dict[str, Any]:
    """Return the `config.json` of a GPT2LMHeadModel."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_positions": config.block_size,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.mlp_width,
        "activation_function": GPT2_ACTIVATIONS[config.mlp_type],
        "layer_norm_epsilon": config.norm_epsilon,
        "resid_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "embd_pdrop": 0.0,
        "tie_word_embeddings": config.tie_weights,
    }


def llama_config(config: GPTConfig) -> dict[str, Any]:
    """Return the `config.json` of a LlamaForCausalLM, as transformers 4 and 5 read it."""
    scaling = describe_rotation(config)
    kind = scaling or {"rope_type": "default"}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.block_size,
        "hidden_size": config.n_embd,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.mlp_width,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        "attention_dropout": config.dropout,
        "attention_bias": config.has_qkv_bias or config.has_proj_bias,
        "mlp_bias": config.has_mlp_bias,
        "tie_word_embeddings": config.tie_weights,
        "rope_theta": config.rope_theta,
        "rope_scaling": scaling,
        "rope_parameters": {**kind, "rope_theta": config.rope_theta},
    }


def gpt2_tensors(config: GPTConfig, weights: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors of a GPT2LMHeadModel: biases everywhere, matrices as (in, out)."""
    tensors = {
        "transformer.wte.weight": weights[EMBEDDING],
        "transformer.wpe.weight": weights[POSITIONS],
        **_norm_tensors("transformer.ln_f", "ln_f", weights, bias=True),
    }
    for layer in range(config.n_layer):
        for ours, theirs in INSIDE.items():
            name, there = f"blocks.{layer}.{ours}", f"transformer.h.{layer}.{theirs}"
            if ours.startswith("ln"):
                tensors |= _norm_tensors(there, name, weights, bias=True)
                continue
            matrix, bias = _linear_tensors(name, weights)
            if ours == "sa.qkv":
                matrix, bias = _scale_queries(config, matrix), _scale_queries(config, bias)
            tensors |= {f"{there}.weight": matrix.t(), f"{there}.bias": bias}
    return tensors | _head_tensors(config, weights)


def llama_tensors(config: GPTConfig, weights: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors of a LlamaForCausalLM, with queries, keys and values apart."""
    attention_bias = config.has_qkv_bias or config.has_proj_bias
    tensors = {
        "model.embed_tokens.weight": weights[EMBEDDING],
        **_norm_tensors("model.norm", "ln_f", weights, bias=False),
    }
    for layer in range(config.n_layer):
        place = f"model.layers.{layer}"
        for ours, theirs in _LLAMA_INSIDE.items():
            name, there = f"blocks.{layer}.{ours}", f"{place}.{theirs}"
            if ours.startswith("ln"):
                tensors |= _norm_tensors(there, name, weights, bias=False)
                continue
            matrix, bias = _linear_tensors(name, weights)
            tensors[f"{there}.weight"] = matrix
            if attention_bias if ours == "sa.proj" else config.has_mlp_bias:
                tensors[f"{there}.bias"] = bias
        matrix, bias = (
            _scale_queries(config, t) for t in _linear_tensors(f"blocks.{layer}.sa.qkv", weights)
        )
        parts = zip("qkv", _split_qkv(config, matrix), _split_qkv(config, bias), strict=True)
        for role, rows, shift in parts:
            tensors[f"{place}.self_attn.{role}_proj.weight"] = rows
            if attention_bias:
                tensors[f"{place}.self_attn.{role}_proj.bias"] = shift
    return tensors | _head_tensors(config, weights)


def scales_otherwise(config: GPTConfig) -> bool:
    """Return whether attention is scaled by something other than head_size ** -0.5."""
    usual: float = config.head_width**-0.5
    return config.attention_scale != usual


def _norm_tensors(there: str, name: str, weights: Mapping[str, Tensor], *, bias: bool) -> Tensors:
    scale = weights[f"{name}.weight"]
    shift = weights.get(f"{name}.bias", scale.new_zeros(scale.shape))
    return {f"{there}.weight": scale, **({f"{there}.bias": shift} if bias else {})}


def _linear_tensors(name: str, weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return matrix and bias; the bias is zero where the model has none."""
    matrix = weights[f"{name}.weight"]
    return matrix, weights.get(f"{name}.bias", matrix.new_zeros(matrix.size(0)))


def _scale_queries(config: GPTConfig, qkv: Tensor) -> Tensor:
    """Multiply the queries by the attention scale, relative to the usual one."""
    if not scales_otherwise(config):
        return qkv
    query, *others = _split_qkv(config, qkv)
    factor = config.attention_scale * config.head_width**0.5
    import torch

    return torch.cat([query * factor, *others])


def _split_qkv(config: GPTConfig, qkv: Tensor) -> tuple[Tensor, ...]:
    """Return the rows of queries, of keys and of values."""
    sizes = [config.attention_width, config.kv_width, config.kv_width]
    return qkv.split(sizes)  # type: ignore[no-any-return, no-untyped-call]


def _head_tensors(config: GPTConfig, weights: Mapping[str, Tensor]) -> Tensors:
    return {} if config.tie_weights else {"lm_head.weight": weights[HEAD]}
