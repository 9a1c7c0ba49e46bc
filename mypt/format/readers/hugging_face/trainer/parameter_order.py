"""In which order the classes of transformers have their parameters.

Optimizers number parameters in this order, and the files of weights do not keep it. The tests
compare it with the classes. Within a module the weight comes first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.shared.optimizer import FIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    # The modules outside of the blocks by their last name, and those of a block in their place.
    Modules = tuple[str | tuple[str, ...], ...]

_BLOCK = re.compile(r"(?:^|\.)([0-9]{1,6})\.(.+)\.(weight|bias)")
_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "mlp.c_fc", "mlp.c_proj")
_NORMS = ("input_layernorm", "post_attention_layernorm")
_FFN_NORMS = ("pre_feedforward_layernorm", "post_feedforward_layernorm")
_QK_NORMS = ("self_attn.q_norm", "self_attn.k_norm")
# Llama's, in which each relative has some modules of its own.
_DECODER: Modules = (
    "embed_tokens",
    (*_QKV, "self_attn.o_proj", *_QK_NORMS, *_MLP, *_NORMS, *_FFN_NORMS),
    "norm",
    "lm_head",
)
_RELATIVES = (
    *("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"),
    *("olmo", "olmo2", "smollm3", "starcoder2", "granite", "stablelm"),
)
_NEOX_MLP = ("mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
_BLOOM_ATTENTION = ("self_attention.query_key_value", "self_attention.dense")
MODULES: Mapping[str, Modules] = {
    **dict.fromkeys(_RELATIVES, _DECODER),
    "gpt2": (
        *("wte", "wpe"),
        ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"),
        *("ln_f", "lm_head"),
    ),
    "gpt_neo": (
        *("wte", "wpe"),
        (
            "ln_1",
            *(f"attn.attention.{part}_proj" for part in ("k", "v", "q", "out")),
            *("ln_2", "mlp.c_fc", "mlp.c_proj"),
        ),
        *("ln_f", "lm_head"),
    ),
    "gptj": (
        "wte",
        (
            "ln_1",
            *(f"attn.{part}_proj" for part in ("k", "v", "q", "out")),
            *("mlp.fc_in", "mlp.fc_out"),
        ),
        *("ln_f", "lm_head"),
    ),
    "gpt_neox": (
        "embed_in",
        (*_NORMS, "attention.query_key_value", "attention.dense", *_NEOX_MLP),
        *("final_layer_norm", "lm_head", "embed_out"),
    ),
    "opt": (
        *("embed_tokens", "embed_positions", "final_layer_norm"),
        (
            *(f"self_attn.{part}_proj" for part in ("k", "v", "q", "out")),
            *("self_attn_layer_norm", "fc1", "fc2", "final_layer_norm"),
        ),
        "lm_head",
    ),
    "bloom": (
        *("word_embeddings", "word_embeddings_layernorm"),
        ("input_layernorm", *_BLOOM_ATTENTION, "post_attention_layernorm", *_NEOX_MLP),
        *("ln_f", "lm_head"),
    ),
    "falcon": (
        "word_embeddings",
        (*_BLOOM_ATTENTION, *_NEOX_MLP, "ln_attn", "ln_mlp", *reversed(_NORMS)),
        *("ln_f", "lm_head"),
    ),
    "phi": (
        "embed_tokens",
        (*_QKV, "self_attn.dense", "mlp.fc1", "mlp.fc2", "input_layernorm"),
        *("final_layernorm", "lm_head"),
    ),
    "phi3": (
        "embed_tokens",
        ("self_attn.o_proj", "self_attn.qkv_proj", "mlp.gate_up_proj", "mlp.down_proj", *_NORMS),
        *("norm", "lm_head"),
    ),
}


def order_names(names: Iterable[str], model_type: str, file: str) -> list[str]:
    """Return the names of a model's parameters in the order of its class.

    Args:
        names: Those of the class, with or without the prefix of a model with a head.
        model_type: The family.
        file: Name of the file of the optimizer, for messages.

    Raises:
        FormatError: The order is not known for one of them.
    """
    places = _list_places(MODULES.get(model_type, ()))
    ranked = []
    for name in names:
        found = _BLOCK.search(name)
        layer, module, kind = found.groups() if found else ("0", *name.rsplit(".", 2)[-2:])
        place = places.get((found is not None, module))
        if place is None or kind not in ("weight", "bias"):
            what = f"numbers the parameters of {model_type} in an order that mypt does not know"
            raise FormatError(Problem(file, name, what, FIX, kind="optimizer.order"))
        outer, inner = place
        ranked.append((outer, int(layer), inner, kind == "bias", name))
    return [name for *_, name in sorted(ranked)]


def _list_places(modules: Modules) -> dict[tuple[bool, str], tuple[int, int]]:
    """Return the place of each module, by whether it is in a block, and its name."""
    places = {}
    for outer, entry in enumerate(modules):
        inside = isinstance(entry, tuple)
        for inner, module in enumerate(entry if isinstance(entry, tuple) else (entry,)):
            places[inside, module] = (outer, inner)
    return places
