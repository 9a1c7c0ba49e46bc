"""litgpt's tensor names, and the order of rows in its fused matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.layout import EMBEDDING, HEAD
from mypt.format.readers.row_orders import split_head
from mypt.format.readers.shared.tensor_source import RowOrder, TensorSource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from mypt.format.documents.config import GPTConfig

# What the names begin with in the model itself.
ROOTS = ("lm_head.", "transformer.wte.", "transformer.h.", "transformer.ln_f.")
WTE = "transformer.wte.weight"
_OUTSIDE = {
    EMBEDDING: WTE,
    HEAD: HEAD,
    "lm_head.bias": "lm_head.bias",
    "ln_f.weight": "transformer.ln_f.weight",
    "ln_f.bias": "transformer.ln_f.bias",
}
_INSIDE = {
    "ln1": "norm_1",
    "ln2": "norm_2",
    "ln1_post": "post_attention_norm",
    "ln2_post": "post_mlp_norm",
    "sa.qkv": "attn.qkv",
    "sa.proj": "attn.proj",
    "sa.q_norm": "attn.norm_q",
    "sa.k_norm": "attn.norm_k",
    "fwd.net.0": "mlp.fc",
    "fwd.net.2": "mlp.proj",
    "fwd.w_gate": "mlp.fc_1",
    "fwd.w_up": "mlp.fc_2",
    "fwd.w_down": "mlp.proj",
}
# Where the only norms are those behind the parts.
_BEHIND = {"ln1": "post_attention_norm", "ln2": "post_mlp_norm"}
# The fused matrix of releases before 0.5.5, with the heads of a group one after the other.
_BY_GROUP = "attn.attn"


@frozen
class _Rows:
    """The order of rows in litgpt's fused matrices and in norms over their heads.

    Attributes:
        config: The architecture.
        interleaved: Whether rotated pairs are neighbours.
    """

    config: GPTConfig
    interleaved: bool

    def order_fused(self, *, by_group: bool) -> RowOrder | None:
        """Return the order of queries, keys and values; None if it is mypt's."""
        if not (by_group or self.interleaved):
            return None
        heads, groups = self.config.n_head, self.config.kv_heads
        per_group = heads // groups
        if by_group:  # the queries of a group, its key, its value
            size = per_group + 2
            queries = [g * size + q for g in range(groups) for q in range(per_group)]
            keys = [g * size + per_group for g in range(groups)]
            values = [place + 1 for place in keys]
        else:
            queries, keys = list(range(heads)), list(range(heads, heads + groups))
            values = list(range(heads + groups, heads + 2 * groups))
        turned = [part for place in (*queries, *keys) for part in self._split_head(place)]
        return self._make_order([*turned, *map(self._whole_head, values)], heads + 2 * groups)

    def order_norm(self, heads: int) -> RowOrder | None:
        """Return the order of the weights of a norm over so many heads; None if it is mypt's."""
        if not self.interleaved:
            return None
        return self._make_order([p for n in range(heads) for p in self._split_head(n)], heads)

    def _make_order(self, slices: list[slice], heads: int) -> RowOrder:
        return RowOrder(heads * self.config.head_width, tuple(slices))

    def _whole_head(self, place: int) -> slice:
        width = self.config.head_width
        return slice(place * width, (place + 1) * width)

    def _split_head(self, place: int) -> Iterator[slice]:
        """Yield the rows of a head that is rotated."""
        whole = self._whole_head(place)
        if self.interleaved:
            yield from split_head(whole.start, self.config)
        else:
            yield whole


def make_lookup(
    config: GPTConfig, names: Collection[str] = (), *, interleaved: bool = False
) -> Callable[[str], TensorSource]:
    """Return a function from mypt's name of a tensor to its source in the file.

    Args:
        config: The architecture.
        names: The tensors in the file, some of which may have the names of old releases.
        interleaved: Whether rotated pairs are neighbours.
    """
    rows = _Rows(config, interleaved)
    inside = {**_INSIDE, **(_BEHIND if config.block_type == "res_post_norm" else {})}
    heads = {"sa.q_norm": config.n_head, "sa.k_norm": config.kv_heads}

    def find_source(name: str) -> TensorSource:
        if name in _OUTSIDE:
            return TensorSource((_OUTSIDE[name],))
        _, layer, rest = name.split(".", 2)
        part, _, kind = rest.rpartition(".")
        at = f"transformer.h.{layer}"
        if part == "sa.qkv":
            old = f"{at}.{_BY_GROUP}.{kind}"
            if old in names:
                return TensorSource((old,), rows=rows.order_fused(by_group=True))
            order = rows.order_fused(by_group=False)
            return TensorSource((f"{at}.{inside[part]}.{kind}",), rows=order)
        order = None
        if part in heads:
            order = rows.order_norm(heads[part] if config.qk_norm == "width" else 1)
        return TensorSource((f"{at}.{inside[part]}.{kind}",), rows=order)

    return find_source
