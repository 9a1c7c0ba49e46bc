"""The adapters of another program's modules as those of one of mypt."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.adapters.places import JOINT, PARTS, A, B, list_matrices, name_target
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import BUILT_IN, lay_out
from mypt.format.tensors.transforms import place_blocks, take_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.shared.tensor_source import TensorSource

_QKV = "sa.qkv"
_FIX = "merge the adapters with the program that wrote them"


@frozen
class Product:
    """What is added to the rows of one module: scale * B A.

    Attributes:
        a: (rank, columns).
        b: (rows, rank).
        scale: Factor.
    """

    a: Any
    b: Any
    scale: float


@frozen(kw_only=True)
class Converted:
    """An adapter in mypt's terms.

    Attributes:
        rank: The largest of all ranks; matrices of a smaller one are filled up with zeros.
        alpha: Its alpha.
        targets: The adapted matrices.
        tensors: By mypt's names.
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]
    tensors: Mapping[str, Any]


def convert(
    products: Mapping[str, Product],
    sources: Mapping[str, TensorSource],
    config: GPTConfig,
    file: str,
) -> Converted:
    """Return an adapter of another program as one of mypt, which computes the same.

    Args:
        products: What is added to each module, by its name.
        sources: Where each tensor of the base is, by mypt's name.
        config: The base.
        file: Name of the adapter, for messages.

    Raises:
        FormatError: A module has no counterpart, or not in all layers.
    """
    found = dict(_find_products(products, sources, config, file))
    used = {module for modules, _ in found.values() for module in modules}
    strange = [module for module in products if module not in used]
    if strange:
        what = "is adapted, and mypt has adapters for the matrices within layers alone"
        raise FormatError(*(_problem(file, module, what) for module in strange[:20]))
    rank = max(product.a.shape[0] for _, product in found.values())
    scale = Counter(product.scale for _, product in found.values()).most_common(1)[0][0]
    tensors: dict[str, Any] = {}
    for name, (_, product) in found.items():
        rows, columns = product.b.shape[0], product.a.shape[1]
        b = product.b
        if product.scale != scale:
            b = take_rows(b, [slice(0, rows)], [product.scale / scale])
        # Copies, since a module that is split here is the same twice.
        tensors[f"{name}.{A}"] = place_blocks([(product.a, 0, 0)], (rank, columns))
        tensors[f"{name}.{B}"] = place_blocks([(b, 0, 0)], (rows, rank))
    targets = tuple(dict.fromkeys(_target_of(name, config) for name in found))
    return Converted(rank=rank, alpha=scale * rank, targets=targets, tensors=tensors)


def _find_products(
    products: Mapping[str, Product],
    sources: Mapping[str, TensorSource],
    config: GPTConfig,
    file: str,
) -> Iterator[tuple[str, tuple[tuple[str, ...], Product]]]:
    """Yield for each adapted place of mypt the modules that its product is of, and the product."""
    layout = lay_out(config, BUILT_IN)
    for layer in range(config.n_layer):
        for matrix in list_matrices(layout.layer(layer)):
            name = f"{layout.prefix}{layer}.{matrix}"
            source = sources[f"{name}.weight"]
            modules = [n.removesuffix(".weight") for n in source.names]
            if not any(module in products for module in modules):
                continue
            if len(modules) == 1:
                product = products[modules[0]]
                yield name, ((modules[0],), _reorder(product, source, 0, None))
                continue
            if matrix != _QKV or len(modules) % len(PARTS):
                what = f"is one of {len(modules)} that are {name} here, which has one adapter"
                raise FormatError(_problem(file, modules[0], what))
            begin, each = 0, len(modules) // len(PARTS)
            widths = config.attention_width, config.kv_width, config.kv_width
            for number, (part, rows) in enumerate(zip(PARTS, widths, strict=True)):
                own = modules[number * each : (number + 1) * each]
                held = [products[module] for module in own if module in products]
                if held:
                    joined = _join(held, own, file)
                    yield f"{name}.{part}", (tuple(own), _reorder(joined, source, begin, rows))
                begin += rows


def _join(products: Sequence[Product], modules: Sequence[str], file: str) -> Product:
    """Return the products of modules whose rows follow one another as one, of a higher rank.

    Raises:
        FormatError: One of the modules has none.
    """
    if len(products) == len(modules) == 1:
        return products[0]
    if len(products) < len(modules):
        what = "belongs to modules of which only some are adapted"
        raise FormatError(_problem(file, modules[0], what))
    ranks = [product.a.shape[0] for product in products]
    heights = [product.b.shape[0] for product in products]
    at = [*accumulate([0, *ranks])]
    tops = [*accumulate([0, *heights])]
    columns = products[0].a.shape[1]
    a = place_blocks([(p.a, n, 0) for p, n in zip(products, at, strict=False)], (at[-1], columns))
    blocks = [(p.b, top, n) for p, top, n in zip(products, tops, at, strict=False)]
    return Product(a, place_blocks(blocks, (tops[-1], at[-1])), products[0].scale)


def _reorder(product: Product, source: TensorSource, begin: int, rows: int | None) -> Product:
    """Return a product with its rows in mypt's order.

    Args:
        product: Of one module.
        source: Where the rows of mypt's matrix are.
        begin: The first row of mypt's matrix that is of this module, and of the joined ones.
        rows: How many are; None for all.
    """
    order = source.rows
    if order is None:
        return product
    places, factors, at = [], [], 0
    for place, factor in zip(
        order.slices, order.factors or (1.0,) * len(order.slices), strict=True
    ):
        indices = range(order.total)[place]
        if rows is None or begin <= at < begin + rows:
            places.append(slice(indices.start - begin, indices.stop - begin, indices.step))
            factors.append(factor)
        at += len(indices)
    return Product(product.a, take_rows(product.b, places, factors), product.scale)


def _target_of(name: str, config: GPTConfig) -> str:
    prefix = lay_out(config, BUILT_IN).prefix
    inside = name.removeprefix(prefix).partition(".")[2]
    target = name_target(inside)
    return target.removeprefix(f"{JOINT}.")


def _problem(file: str, module: str, what: str) -> Problem:
    return Problem(file, module, what, _FIX, kind="adapter.module")
