"""Hugging Face's GPT-2, expressed in mypt's config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.layout import BUILT_IN, HEAD
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    pick_known_fields,
    require_positive_int,
)
from mypt.format.readers.shared.gpt2_names import drop_masks, make_gpt2_lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.format.layout import Layouts
    from mypt.format.readers.shared.tensor_map import TensorSource

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


def convert_config(hf_config: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the fields of mypt's config.

    Raises:
        FormatError: A size is missing, or the model has something that mypt's config cannot
            express.
    """
    activation = str(hf_config.get("activation_function", "gelu_new"))
    if activation not in ACTIVATIONS:
        what = f"is {activation}; mypt has {', '.join(ACTIVATIONS)}"
        raise make_unsupported_error(
            file, "/activation_function", what, "install a plugin that reads it"
        )
    for name, why in (
        ("scale_attn_by_inverse_layer_idx", "scales attention by the layer's index"),
        ("add_cross_attention", "adds attention to another model"),
    ):
        if hf_config.get(name):
            raise make_unsupported_error(
                file, f"/{name}", f"{why}, which mypt's config cannot express", "install a plugin"
            )
    return {
        "block_size": require_positive_int(hf_config, "n_positions", file),
        "vocab_size": require_positive_int(hf_config, "vocab_size", file),
        "n_embd": require_positive_int(hf_config, "n_embd", file),
        "n_head": require_positive_int(hf_config, "n_head", file),
        "n_layer": require_positive_int(hf_config, "n_layer", file),
        **pick_known_fields(hf_config, {"n_inner": "mlp_hidden", "resid_pdrop": "dropout"}),
        "bias": True,
        "head_bias": False,
        "tie_weights": hf_config.get("tie_word_embeddings", True),
        "mlp_type": ACTIVATIONS[activation],
        "norm_eps": hf_config.get("layer_norm_epsilon", 1e-5),
        "attn_scale": None if hf_config.get("scale_attn_weights", True) else 1.0,
    }


def find_tensors(
    tensors: Mapping[str, Any],
) -> tuple[dict[str, Any], Callable[[str], TensorSource]]:
    """Return the tensors without masks, and a function that finds the source of mypt's tensors."""
    prefix = _PREFIX if any(name.startswith(_PREFIX) for name in tensors) else ""
    return drop_masks(tensors), make_gpt2_lookup(prefix, HEAD, transposed=True)


def list_notes(hf_config: Mapping[str, Any]) -> list[str]:
    """Return notes on what differs in training."""
    rates = {hf_config.get(name, 0.1) for name in _DROPOUTS}
    if rates == {0.0}:
        return []
    return ["dropout is `resid_pdrop`, for attention as well; embeddings have no dropout"]
