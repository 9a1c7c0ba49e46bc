"""The matrices of an adapter of peft as those of one of mypt."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.export.peft.names import name_tensor, parse_tensor
from mypt.format.adapters.places import JOINT, PARTS, A, B, list_matrices, name_target
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import BUILT_IN, lay_out
from mypt.format.tensors.transforms import take_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.export.peft.settings import PeftSettings
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.shared.tensor_source import TensorSource

_QKV = "sa.qkv"
_FIX = "merge it with peft's merge_and_unload(), and save the whole with save_pretrained"


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
    """Return an adapter of peft as one of mypt, which computes the same.

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
    rank = max(len(product.a) for _, product in found.values())
    scale = Counter(product.scale for _, product in found.values()).most_common(1)[0][0]
    tensors: dict[str, Any] = {}
    taken: set[int] = set()
    for name, (_, product) in found.items():
        factor = product.scale / scale
        a = product.a.clone() if id(product.a) in taken else product.a  # of a module that is split
        taken.add(id(product.a))
        b = product.b if factor == 1 else product.b * factor
        tensors[f"{name}.{A}"] = _pad(a, rank, 0)
        tensors[f"{name}.{B}"] = _pad(b, rank, 1)
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
            if matrix != _QKV or len(modules) != len(PARTS):
                what = f"is one of {len(modules)} that are {name} here, which has one adapter"
                raise FormatError(_problem(file, modules[0], what))
            begin = 0
            widths = config.attention_width, config.kv_width, config.kv_width
            for part, module, rows in zip(PARTS, modules, widths, strict=True):
                if module in products:
                    own = _reorder(products[module], source, begin, rows)
                    yield f"{name}.{part}", ((module,), own)
                begin += rows


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


def _pad(matrix: Any, rank: int, dim: int) -> Any:
    """Return a factor of a product with more columns or rows, which are zero."""
    missing = rank - matrix.shape[dim]
    if not missing:
        return matrix
    import torch

    shape = (missing, matrix.shape[1]) if dim == 0 else (matrix.shape[0], missing)
    return torch.cat([matrix, matrix.new_zeros(shape)], dim=dim)


def _problem(file: str, module: str, what: str) -> Problem:
    return Problem(file, module, what, _FIX, kind="adapter.module")


def read_products(
    tensors: Mapping[str, Any], settings: PeftSettings, file: str
) -> dict[str, Product]:
    """Return what an adapter adds to each module.

    Args:
        tensors: The tensors of its file.
        settings: What its config says.
        file: Name of the file, for messages.

    Raises:
        FormatError: A tensor is missing, or is of no linear layer.
    """
    held: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        parsed = parse_tensor(name)
        if parsed is None:
            raise FormatError(_problem(file, name, "is no matrix of LoRA for a linear layer"))
        held.setdefault(parsed[0], {})[parsed[1]] = tensor
    products, problems = {}, []
    for module, pair in held.items():
        rank = settings.rank_of(module)
        for kind, dim in ((A, 0), (B, 1)):
            shape = tuple(pair[kind].shape) if kind in pair else ()
            if len(shape) != 2 or shape[dim] != rank:
                what = f"has shape {shape}, and the rank is {rank}" if shape else "is missing"
                problems.append(_problem(file, name_tensor(module, kind), what))
        if not problems:
            products[module] = Product(pair[A], pair[B], settings.scale_of(module))
    if problems:
        raise FormatError(*problems[:20])
    return products
