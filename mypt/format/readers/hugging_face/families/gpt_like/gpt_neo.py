"""GPT-Neo, and models of TinyStories: GPT-2 with windows and without a scale of attention."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.documents.tokenizer import GPT2_VOCAB_SIZE
from mypt.format.readers.hugging_face.families.activations import (
    PLAIN,
    convert_activation,
    describe_activation,
)
from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.families.gpt_like.fields import (
    SUMMARY,
    note_dropouts,
    take_sizes,
)
from mypt.format.readers.hugging_face.families.gpt_like.places import Places
from mypt.format.readers.hugging_face.families.windows import make_pattern
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.shared.fields import (
    MAX_LAYERS,
    make_unsupported_error,
    pick_known_fields,
    require_number,
    require_positive_int,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig, Lookup

_PLACES = Places(
    outside={
        "token_embedding_table": "wte",
        "position_embedding_table": "wpe",
        "ln_f": "ln_f",
    },
    layers="h",
    inside={
        "ln1": ("ln_1",),
        "sa.qkv": tuple(f"attn.attention.{part}_proj" for part in "qkv"),
        "sa.proj": ("attn.attention.out_proj",),
        "ln2": ("ln_2",),
        "fwd.net.0": ("mlp.c_fc",),
        "fwd.net.2": ("mlp.c_proj",),
    },
)
_BUFFERS = re.compile(r"(?:.*\.)?h\.\d+\.attn\.attention\.(?:bias|masked_bias)")
_DROPOUTS = ("resid_dropout", "attention_dropout", "embed_dropout")
_TYPES, _LAYERS = "attention_types", "attention_layers"
_WINDOWED = {"local": True, "global": False}
# GPTNeoConfig's own, for what a config leaves out.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": GPT2_VOCAB_SIZE,
    "max_position_embeddings": 2048,
    "hidden_size": 2048,
    "num_layers": 24,
    "num_heads": 16,
    "window_size": 256,
    "activation_function": "gelu_new",
    **dict.fromkeys(_DROPOUTS, 0.0),
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
}
_DEFAULT_TYPES = [[["global", "local"], 12]]
_ALIASES: Mapping[str, str] = {
    "num_attention_heads": "num_heads",
    "num_hidden_layers": "num_layers",
}
_KEYS = add_common_keys(
    {*_DEFAULTS, "intermediate_size", _TYPES, _LAYERS},
    ignored=("classifier_dropout", *SUMMARY),  # of heads for other tasks
)


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    sizes = take_sizes(
        hf_config,
        file,
        block_size="max_position_embeddings",
        n_embd="hidden_size",
        n_head="num_heads",
        n_layer="num_layers",
    )
    return {
        **sizes,
        **pick_known_fields(hf_config, {"intermediate_size": "mlp_hidden"}),
        "dropout": hf_config["resid_dropout"] or 0.0,
        "bias": True,
        "qkv_bias": False,
        "head_bias": False,
        "mlp_type": convert_activation(hf_config, "activation_function", file, PLAIN),
        "norm_eps": require_number(hf_config, "layer_norm_epsilon", file),
        "attn_scale": 1.0,
        **_convert_windows(hf_config, sizes["n_layer"], file),
    }


def _convert_windows(hf_config: HFConfig, n_layer: int, file: str) -> dict[str, Any]:
    where, layers = _list_layers(hf_config, file)
    unknown = [kind for kind in layers if kind not in _WINDOWED]
    if unknown or len(layers) != n_layer:
        what = f"is {unknown[0]!r} for a layer" if unknown else f"are of {len(layers)} layers"
        what += f"; mypt reads {' and '.join(_WINDOWED)}, for each of the {n_layer} layers"
        raise make_unsupported_error(file, f"/{where}", what, "restore the file")
    windowed = [_WINDOWED[kind] for kind in layers]
    if not any(windowed):
        return {}
    size = require_positive_int(hf_config, "window_size", file)
    return {"sliding_window": size, "window_pattern": make_pattern(windowed, "SF")}


def _list_layers(hf_config: HFConfig, file: str) -> tuple[str, list[str]]:
    """Return what each layer attends to, and the key that says so.

    Raises:
        FormatError: It is damaged, or the two keys contradict each other.
    """
    given = hf_config.get(_TYPES)
    types = _DEFAULT_TYPES if given is None else given
    try:
        listed = list(_expand(types))
        layers = listed if hf_config.get(_LAYERS) is None else list(hf_config[_LAYERS])
    except (TypeError, ValueError):
        what, fix = 'is not of the form [[["global", "local"], 12]]', "restore the file"
        raise make_unsupported_error(file, f"/{_TYPES}", what, fix) from None
    if given is not None and layers != listed:
        what, fix = f"contradicts {_TYPES}", "remove the one that does not hold"
        raise make_unsupported_error(file, f"/{_LAYERS}", what, fix)
    return (_TYPES if given is not None else _LAYERS), layers


def _expand(types: Any) -> Iterator[str]:
    """Yield the types of layers from groups of them, each with its number of repetitions."""
    total = 0
    for group, times in types:
        if type(times) is not int:
            raise TypeError
        total += len(group) * times
        if total > MAX_LAYERS:
            raise ValueError
        yield from [*group] * times


def _make_lookup(config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:  # noqa: ARG001
    return _PLACES.make_lookup(config, prefix)


def _describe(config: GPTConfig) -> dict[str, Any]:
    windows = (config.window_at(layer) for layer in range(config.n_layer))
    layers = ["global" if window is None else "local" for window in windows]
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.block_size,
        "hidden_size": config.n_embd,
        "num_layers": config.n_layer,
        "num_heads": config.n_head,
        "intermediate_size": config.mlp_width,
        "window_size": config.sliding_window or _DEFAULTS["window_size"],
        _TYPES: [[layers, 1]],
        _LAYERS: layers,
        "activation_function": describe_activation(config.mlp_type, PLAIN),
        "layer_norm_epsilon": config.norm_epsilon,
        "resid_dropout": config.dropout,
        "attention_dropout": config.dropout,
        "embed_dropout": 0.0,
        "tie_word_embeddings": config.tie_weights,
    }


GPT_NEO = Family(
    model_type="gpt_neo",
    classes=("GPTNeoForCausalLM", "GPTNeoModel"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    aliases=_ALIASES,
    roots=("transformer.", "lm_head.", "wte.", "wpe.", "h.", "ln_f."),
    prefix="transformer.",
    embedding="wte.weight",
    buffers=_BUFFERS,
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=note_dropouts(*_DROPOUTS),
    describe=_describe,
)
