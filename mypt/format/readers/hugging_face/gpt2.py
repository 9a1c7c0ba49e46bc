"""Hugging Face's GPT-2 in the terms of mypt's config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.layout import BUILT_IN
from mypt.format.readers.shared.fields import known, number_of, refuse
from mypt.format.readers.shared.gpt2_names import gpt2_source, without_masks
from mypt.format.readers.shared.tensor_map import HEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.format.layout import Layouts
    from mypt.format.readers.shared.tensor_map import Source

ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "relu": "relu",
}
_PREFIX = "transformer."
_DROPOUTS = ("resid_pdrop", "attn_pdrop", "embd_pdrop")
LAYOUTS: Layouts = BUILT_IN


def config_fields(held: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Give fields of mypt's config.

    Raises:
        FormatError: A size is missing, or it is something that mypt's config cannot say.
    """
    activation = str(held.get("activation_function", "gelu_new"))
    if activation not in ACTIVATIONS:
        what = f"is {activation}; mypt has {', '.join(ACTIVATIONS)}"
        raise refuse(file, "/activation_function", what, "install a plugin that reads it")
    for name, why in (
        ("scale_attn_by_inverse_layer_idx", "scales attention by the layer's index"),
        ("add_cross_attention", "adds attention to another model"),
    ):
        if held.get(name):
            raise refuse(file, f"/{name}", f"{why}, which no config says", "install a plugin")
    return {
        "block_size": number_of(held, "n_positions", file),
        "vocab_size": number_of(held, "vocab_size", file),
        "n_embd": number_of(held, "n_embd", file),
        "n_head": number_of(held, "n_head", file),
        "n_layer": number_of(held, "n_layer", file),
        **known(held, {"n_inner": "mlp_hidden", "resid_pdrop": "dropout"}),
        "bias": True,
        "head_bias": False,
        "tie_weights": held.get("tie_word_embeddings", True),
        "mlp_type": ACTIVATIONS[activation],
        "norm_eps": held.get("layer_norm_epsilon", 1e-5),
        "attn_scale": None if held.get("scale_attn_weights", True) else 1.0,
    }


def names(tensors: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[str], Source]]:
    """Give the tensors without masks, and where each tensor of mypt is."""
    prefix = _PREFIX if any(name.startswith(_PREFIX) for name in tensors) else ""
    return without_masks(tensors), gpt2_source(prefix, HEAD, transposed=True)


def notes(held: Mapping[str, Any]) -> list[str]:
    """Say what differs in training."""
    rates = {held.get(name, 0.1) for name in _DROPOUTS}
    if rates == {0.0}:
        return []
    return ["dropout is that of `resid_pdrop`, for attention as well; embeddings are not dropped"]
