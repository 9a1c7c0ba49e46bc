"""Where the tensors of a family are: a table, from which its lookup is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.readers.shared.tensor_source import TensorSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import Lookup
    from mypt.format.readers.shared.tensor_source import RowOrder

_LAYER, _QKV, _HEAD = "blocks", "sa.qkv", "lm_head"


@frozen(kw_only=True)
class Places:
    """The modules of a family, by mypt's.

    Attributes:
        outside: Those outside of layers and of the head, without the prefix.
        layers: What the names of layers begin with, without the prefix and the number.
        inside: Those in a layer; one of mypt's may consist of several, row by row.
        head: The output layer, without the prefix.
    """

    outside: Mapping[str, str]
    layers: str
    inside: Mapping[str, tuple[str, ...]]
    head: str = _HEAD

    def make_lookup(
        self, config: GPTConfig, prefix: str, rows: Mapping[str, RowOrder] | None = None
    ) -> Lookup:
        """Return a function from mypt's name of a tensor to its source.

        Args:
            config: The architecture.
            prefix: What the names outside of the head begin with.
            rows: The order of rows of mypt's modules that have another one.
        """
        orders = rows or {}
        shares = config.n_head, config.kv_heads, config.kv_heads

        def find_source(name: str) -> TensorSource:
            module, _, kind = name.rpartition(".")
            if module == _HEAD:
                return TensorSource((f"{self.head}.{kind}",))
            if not module.startswith(f"{_LAYER}."):
                place = f"{prefix}{self.outside[module]}.{kind}"
                return TensorSource((place,), rows=orders.get(module))
            _, layer, part = module.split(".", 2)
            names = tuple(f"{prefix}{self.layers}.{layer}.{n}.{kind}" for n in self.inside[part])
            is_joined = part == _QKV and len(names) > 1
            return TensorSource(names, shares=shares if is_joined else (), rows=orders.get(part))

        return find_source
