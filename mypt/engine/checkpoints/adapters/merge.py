"""Add the products of an adapter to the matrices of its base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.adapters.places import A, B, find_places
from mypt.format.layout import lay_out
from mypt.format.tensors.transforms import add_product

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts


def merge_products(
    base: Mapping[str, Any], adapter: Mapping[str, Any], config: GPTConfig, layouts: Layouts
) -> dict[str, Any]:
    """Return the tensors of a whole model, in the dtypes of the base's.

    Args:
        base: The tensors of the base.
        adapter: Those of the adapter.
        config: The config of the adapter.
        layouts: The known architecture parts.
    """
    if config.adapter is None:
        return dict(base)
    merged, layout = dict(base), lay_out(config.without_adapter(), layouts)
    for layer in range(config.n_layer):
        for place in find_places(layout.layer(layer), config, config.adapter):
            within = f"{layout.prefix}{layer}."
            name, product = f"{within}{place.matrix}.weight", f"{within}{place.name}"
            rows = slice(place.begin, place.begin + place.rows)
            matrix = merged[name] if merged[name] is not base[name] else base[name].clone()
            factors = adapter[f"{product}.{B}"], adapter[f"{product}.{A}"]
            matrix[rows] = add_product(matrix[rows], *factors, config.adapter.scale)
            merged[name] = matrix
    return merged
