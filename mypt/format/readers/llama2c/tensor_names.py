"""llama2.c's tensor names, and the order of rows in the matrices that are rotated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mypt.format.layout import EMBEDDING, HEAD
from mypt.format.readers.row_orders import split_pairs
from mypt.format.readers.shared.tensor_source import TensorSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig

# What the names begin with in the model itself.
ROOTS = ("tok_embeddings.", "layers.", "norm.", "output.")
TOKENS, OUTPUT, NORM = "tok_embeddings.weight", "output.weight", "norm.weight"
# Tables of angles and masks, which old programs stored.
BUFFERS = re.compile(r"freqs_(?:cis|cos|sin)|layers\.\d+\.attention\.mask")
_OUTSIDE = {EMBEDDING: TOKENS, "ln_f.weight": NORM, HEAD: OUTPUT}
_QKV = ("attention.wq", "attention.wk", "attention.wv")
_INSIDE = {
    "ln1": "attention_norm",
    "sa.proj": "attention.wo",
    "ln2": "ffn_norm",
    "fwd.w_gate": "feed_forward.w1",
    "fwd.w_up": "feed_forward.w3",
    "fwd.w_down": "feed_forward.w2",
}


def make_lookup(config: GPTConfig) -> Callable[[str], TensorSource]:
    """Return a function from mypt's name of a tensor to its source in the file.

    Args:
        config: The architecture.
    """
    shares = config.n_head, config.kv_heads, config.kv_heads
    order = split_pairs(config)

    def find_source(name: str) -> TensorSource:
        if name in _OUTSIDE:
            return TensorSource((_OUTSIDE[name],))
        _, layer, rest = name.split(".", 2)
        part, _, kind = rest.rpartition(".")
        at = f"layers.{layer}"
        if part == "sa.qkv":
            names = tuple(f"{at}.{name}.{kind}" for name in _QKV)
            return TensorSource(names, shares=shares, rows=order)
        return TensorSource((f"{at}.{_INSIDE[part]}.{kind}",))

    return find_source
