"""What the families of Llama's kind have in common."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from mypt.format.layout import HEAD
from mypt.format.readers.hugging_face.families.activations import (
    GATED,
    convert_activation,
    describe_activation,
)
from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.families.rope import ROPE_KEYS, convert_rope, describe_rope
from mypt.format.readers.hugging_face.families.sizes import (
    SIZE_KEYS,
    convert_sizes,
    describe_sizes,
    find_head_width,
)
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.shared.fields import require_number
from mypt.format.readers.shared.tensor_source import TensorSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig, Lookup

    Places = Mapping[str, tuple[str, ...]]

_OUTSIDE = {"token_embedding_table": "embed_tokens", "ln_f": "norm"}
_INNER = ("embed_tokens.", "layers.", "norm.")
_BUFFERS = re.compile(r".*\.rotary_emb\.inv_freq")
# Where the parts of a layer are, by mypt's name.
LAYER: Places = {
    "ln1": ("input_layernorm",),
    "ln2": ("post_attention_layernorm",),
    "sa.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "sa.q_norm": ("self_attn.q_norm",),
    "sa.k_norm": ("self_attn.k_norm",),
    "sa.proj": ("self_attn.o_proj",),
    "fwd.w_gate": ("mlp.gate_proj",),
    "fwd.w_up": ("mlp.up_proj",),
    "fwd.w_down": ("mlp.down_proj",),
}
# What most classes take for what a config leaves out.
DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_dropout": 0.0,
}


def make_family(
    model_type: str,
    classes: str,
    *,
    base: str = "",
    defaults: Mapping[str, Any],
    convert_config: Callable[[HFConfig, str], dict[str, Any]],
    describe: Callable[[GPTConfig], dict[str, Any]],
    layer: Places = LAYER,
    make_lookup: Callable[..., Lookup] | None = None,
    keys: Iterable[str] = (),
    ignored: Iterable[str] = (),
    dropouts: Iterable[str] = (),
    ported: Iterable[str] = (),
    **ignored_at: tuple[Any, ...],
) -> Family:
    """Return a family of Llama's kind.

    Args:
        model_type: Its name in `config.json`.
        classes: What the names of its classes begin with.
        base: What the name of the one without a head begins with, if with something else.
        defaults: Values of the keys that a config may leave out; these keys are known.
        convert_config: See `Family`.
        describe: See `Family`.
        layer: Where the parts of a layer are.
        make_lookup: See `Family`; by default the one for `layer`.
        keys: Other keys that it reads, besides the sizes and those of the rotation.
        ignored: Keys that change no logits of this family.
        dropouts: Keys of dropout rates besides `attention_dropout`.
        ported: See `Family`.
        **ignored_at: Keys that change none at these values.
    """
    rates = ("attention_dropout", *dropouts)
    known = {*defaults, *SIZE_KEYS, *ROPE_KEYS, *keys, *rates}
    return Family(
        model_type=model_type,
        classes=(f"{classes}ForCausalLM", f"{base or classes}Model"),
        defaults={**dict.fromkeys(rates, 0.0), **defaults},
        keys=add_common_keys(known, ignored, **ignored_at),
        roots=(*(f"model.{name}" for name in _INNER), *_INNER, "lm_head."),
        prefix="model.",
        ported=frozenset(ported),
        embedding="embed_tokens.weight",
        buffers=_BUFFERS,
        convert_config=convert_config,
        make_lookup=make_lookup or partial(make_decoder_lookup, layer=layer),
        list_notes=partial(_list_notes, rates=rates),
        describe=describe,
    )


def convert_decoder(
    hf_config: HFConfig,
    file: str,
    *,
    eps: str = "rms_norm_eps",
    activation: str = "hidden_act",
    table: Mapping[str, str] = GATED,
    theta: float = 10000.0,
    part: float | None = None,
) -> dict[str, Any]:
    """Return the fields that most families share; without biases.

    Args:
        hf_config: The complete config.
        file: Name of the file, for messages.
        eps: The key of the norms' epsilon.
        activation: The key of the activation.
        table: Its names: those of gates, or of two layers.
        theta: See `convert_rope`.
        part: See `convert_rope`.

    Raises:
        FormatError: A field is not what it must be, or mypt's config cannot express it.
    """
    sizes = convert_sizes(hf_config, file)
    return {
        **sizes,
        "dropout": hf_config["attention_dropout"] or 0.0,
        "bias": False,
        "mlp_bias": False,
        "head_bias": False,
        "pos_encoding": "rope",
        "mlp_type": convert_activation(hf_config, activation, file, table),
        "norm_type": "rmsnorm",
        "norm_eps": require_number(hf_config, eps, file),
        **convert_rope(hf_config, file, find_head_width(sizes), theta=theta, part=part),
    }


def describe_decoder(
    config: GPTConfig,
    *,
    eps: str = "rms_norm_eps",
    activation: str = "hidden_act",
    table: Mapping[str, str] = GATED,
    is_partial: bool = False,
) -> dict[str, Any]:
    """Return the keys that most families share.

    Args:
        config: The architecture.
        eps: The key of the norms' epsilon.
        activation: The key of the activation.
        table: Its names: those of gates, or of two layers.
        is_partial: Whether the class can rotate a part of each head.
    """
    return {
        **describe_sizes(config),
        activation: describe_activation(config.mlp_type, table),
        eps: config.norm_epsilon,
        "attention_dropout": config.dropout,
        "tie_word_embeddings": config.tie_weights,
        **describe_rope(config, is_partial=is_partial),
    }


def make_decoder_lookup(
    config: GPTConfig,
    prefix: str,
    hf_config: HFConfig,  # noqa: ARG001
    layer: Places = LAYER,
) -> Lookup:
    """Return a function from mypt's name of a tensor to its source; see `MakeLookup`.

    Args:
        config: The architecture.
        prefix: What the names outside of the head begin with.
        hf_config: The complete config.
        layer: Where the parts of a layer are.
    """
    shares = config.n_head, config.kv_heads, config.kv_heads

    def find_source(name: str) -> TensorSource:
        module, _, kind = name.rpartition(".")
        if name == HEAD:
            return TensorSource((HEAD,))
        if module in _OUTSIDE:
            return TensorSource((f"{prefix}{_OUTSIDE[module]}.{kind}",))
        _, number, inside = module.split(".", 2)
        parts = layer[inside]
        return TensorSource(
            tuple(f"{prefix}layers.{number}.{part}.{kind}" for part in parts),
            shares=shares if len(parts) == len(shares) else (),
        )

    return find_source


def _list_notes(hf_config: HFConfig, rates: tuple[str, ...]) -> list[str]:
    others = [name for name in rates[1:] if hf_config[name] != hf_config[rates[0]]]
    if not hf_config[rates[0]] and not others:
        return []
    ignored = f"; {', '.join(others)} is left out" if others else ""
    return [f"dropout is `{rates[0]}`, for the other parts as well{ignored}"]
