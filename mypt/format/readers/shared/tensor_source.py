"""Where the tensors of a model are in a file of another program, for both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.format.tensors.transforms import join_rows, take_rows, transpose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Shape

# The field of the config that `fold_attention_scale` makes up for.
SCALE_FIELD = "attn_scale"


@frozen
class RowOrder:
    """Which rows of a matrix another one consists of, in this order.

    Attributes:
        total: Number of rows of the first matrix.
        slices: Its rows, slice by slice; no row twice.
        factors: Factor on the rows of each slice, where something is folded into them; empty if
            there is none.
    """

    total: int
    slices: tuple[slice, ...]
    factors: tuple[float, ...] = ()

    def inverted(self, power: int) -> tuple[float, ...]:
        """Return the factors on what grows with this power of the rows: -1 for gradients."""
        return tuple(factor**power for factor in self.factors)


def scale_rows(rows: RowOrder | None, total: int, count: int, factor: float) -> RowOrder:
    """Return an order of rows with a factor on the first ones of the result.

    Args:
        rows: The order before; None for all rows as they are.
        total: Number of rows, if there is none.
        count: Number of the first rows; the slices do not go across their end.
        factor: Factor on these, besides the one that they have.
    """
    if rows is None:
        rows = RowOrder(total, (slice(0, count), slice(count, total)))
    factors, begin = [], 0
    for place, before in zip(
        rows.slices, rows.inverted(1) or (1.0,) * len(rows.slices), strict=True
    ):
        factors.append(before * factor if begin < count else before)
        begin += len(range(rows.total)[place])
    return RowOrder(rows.total, rows.slices, tuple(factors))


@frozen
class TensorSource:
    """The source of one of mypt's tensors in a foreign file.

    Attributes:
        names: Names of the file's tensors whose rows make it up, in order.
        transposed: Whether each of these is stored as (columns, rows).
        shares: How many of the rows come from each name, relative to each other; empty if all
            have as many.
        rows: Which of the joined rows it takes, and in which order; None for all as they are.
    """

    names: tuple[str, ...]
    transposed: bool = False
    shares: tuple[int, ...] = ()
    rows: RowOrder | None = None


def scale_queries(source: TensorSource, config: GPTConfig, factor: float) -> TensorSource:
    """Return the source of queries, keys and values with a factor on the queries.

    Args:
        source: The one before, of all of them.
        config: The architecture.
        factor: What the rows of the queries are multiplied by.
    """
    queries, total = config.attention_width, config.attention_width + 2 * config.kv_width
    return evolve(source, rows=scale_rows(source.rows, total, queries, factor))


def fold_attention_scale(
    find_source: Callable[[str], TensorSource], ours: GPTConfig, theirs: GPTConfig
) -> Callable[[str], TensorSource]:
    """Return a lookup whose queries in the file have mypt's scale of attention in them.

    Args:
        find_source: The lookup without it.
        ours: The model.
        theirs: What the other program computes, with a scale of its own.
    """
    factor = theirs.attention_scale / ours.attention_scale

    def find_scaled(name: str) -> TensorSource:
        source = find_source(name)
        if ".sa.qkv." not in name or factor == 1:
            return source
        return scale_queries(source, theirs, factor)

    return find_scaled


def source_shapes(source: TensorSource, shape: Shape) -> dict[str, Shape]:
    """Return the shapes that the file's tensors must have, by name.

    Args:
        source: The source of one of mypt's tensors.
        shape: Shape of that tensor.
    """
    shares = source.shares or (1,) * len(source.names)
    total = shape[0] if source.rows is None else source.rows.total
    shapes = {
        name: (total * share // sum(shares), *shape[1:])
        for name, share in zip(source.names, shares, strict=True)
    }
    return {name: part[::-1] if source.transposed else part for name, part in shapes.items()}


def take_tensor(source: TensorSource, tensors: Mapping[str, Any], power: int = 1) -> Any:
    """Return one of mypt's tensors, or its description.

    Args:
        source: Where it is.
        tensors: The tensors in the file, or their descriptions.
        power: The power of the weights that these are like: 1 for the weights themselves, -1 for
            the means of gradients, -2 for those of their squares.
    """
    parts = [tensors[name] for name in source.names]
    joined = join_rows([transpose(part) for part in parts] if source.transposed else parts)
    if source.rows is None:
        return joined
    return take_rows(joined, source.rows.slices, source.rows.inverted(power))


def group_sources(sources: Mapping[str, TensorSource]) -> list[dict[str, TensorSource]]:
    """Return the sources that are parts of the same tensors of the file together.

    What `split_tensors` makes of each group are whole tensors, so that one group is in memory.

    Args:
        sources: The source of each tensor, by mypt's name.
    """
    groups: dict[tuple[str, ...], dict[str, TensorSource]] = {}
    for name, source in sources.items():
        groups.setdefault(source.names, {})[name] = source
    return list(groups.values())


def split_tensors(
    sources: Mapping[str, TensorSource], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors of the foreign file, from which `take_tensor` makes those of mypt.

    Rows that no tensor of mypt's takes are zero.

    Args:
        sources: The source of each tensor, by mypt's name.
        tensors: The tensors of the model, by mypt's name.
    """
    import torch

    joined: dict[tuple[str, ...], Tensor] = {}
    for name, source in sources.items():
        tensor = tensors[name]
        if source.rows is None:
            joined[source.names] = tensor
            continue
        if source.names not in joined:
            joined[source.names] = tensor.new_zeros((source.rows.total, *tensor.shape[1:]))
        _put_rows(joined[source.names], source.rows, tensor)
    found: dict[str, Tensor] = {}
    layouts = {source.names: source for source in sources.values()}
    for names, tensor in joined.items():
        shares = layouts[names].shares or (1,) * len(names)
        sizes = [len(tensor) * share // sum(shares) for share in shares]
        parts = dict(zip(names, torch.split(tensor, sizes), strict=True))
        found |= {n: p.t() for n, p in parts.items()} if layouts[names].transposed else parts
    return found


def _put_rows(target: Tensor, rows: RowOrder, tensor: Tensor) -> None:
    """Write the rows of one of mypt's tensors to their places in the foreign one."""
    factors = rows.inverted(-1) or (1.0,) * len(rows.slices)
    begin = 0
    for place, factor in zip(rows.slices, factors, strict=True):
        end = begin + len(range(rows.total)[place])
        target[place] = tensor[begin:end] if factor == 1.0 else tensor[begin:end] * factor
        begin = end
