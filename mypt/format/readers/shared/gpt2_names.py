"""GPT-2's tensor names, which nanoGPT and Hugging Face share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.layout import EMBEDDING, HEAD, POSITIONS
from mypt.format.readers.shared.tensor_source import TensorSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OUTSIDE = {
    EMBEDDING: "wte.weight",
    POSITIONS: "wpe.weight",
    "ln_f.weight": "ln_f.weight",
    "ln_f.bias": "ln_f.bias",
}
INSIDE = {
    "ln1": "ln_1",
    "sa.qkv": "attn.c_attn",
    "sa.proj": "attn.c_proj",
    "ln2": "ln_2",
    "fwd.net.0": "mlp.c_fc",
    "fwd.net.2": "mlp.c_proj",
}
_LAYER = re.compile(r"h\.(0|[1-9][0-9]{0,5})\.")
# Masks, which old programs stored. The dot in `.attn.bias` keeps `c_attn.bias` from matching.
MASKS = re.compile(r"(?:^|.*\.)h\.\d+\.attn\.(?:bias|masked_bias)")


def make_gpt2_lookup(prefix: str, head: str, *, transposed: bool) -> Callable[[str], TensorSource]:
    """Return a function from mypt's name of a tensor to its source in the file.

    Args:
        prefix: The prefix of each name in the file, such as `transformer.`.
        head: Name of the output matrix in the file.
        transposed: Whether matrices are stored as (in, out).
    """

    def find_source(name: str) -> TensorSource:
        if name == HEAD:
            return TensorSource((head,))
        if name in _OUTSIDE:
            return TensorSource((prefix + _OUTSIDE[name],))
        _, layer, inside = name.split(".", 2)
        part, _, kind = inside.rpartition(".")
        is_transposed = transposed and kind == "weight" and not part.startswith("ln")
        return TensorSource((f"{prefix}h.{layer}.{INSIDE[part]}.{kind}",), is_transposed)

    return find_source


def drop_masks(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors without the mask buffers, which follow from the config."""
    return {name: tensor for name, tensor in tensors.items() if not MASKS.fullmatch(name)}


def count_layers(tensors: Mapping[str, Any]) -> int:
    """Return the number of blocks: one more than the highest index."""
    return 1 + max([int(found[1]) for n in tensors if (found := _LAYER.search(n))], default=-1)
