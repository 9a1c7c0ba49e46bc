"""Find out which fields of a config were edited by hand, from the shapes that no longer fit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.config import BIAS_FIELDS
from mypt.format.errors import MyptError
from mypt.format.layout import EMBEDDING, POSITIONS, lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts, Shape

Candidate = tuple[str, Any]
_MOST_FIELDS = 4  # more differences than that mean two different models
_EMBEDDING_NORM = "token_embedding_table.norm."


def explain_shapes(
    config: GPTConfig, shapes: Mapping[str, Shape], layouts: Layouts
) -> dict[str, Any]:
    """Find the fewest fields that, set to what the tensors imply, make all of them fit.

    Args:
        config: The config as it is.
        shapes: The shapes of the tensors outside of layers and of layer 0.
        layouts: The known parts.

    Returns:
        The fields and the values that fit, in the order of their effect; empty if no small set
        of fields explains everything.
    """
    changes: dict[str, Any] = {}
    left = _count_misfits(config, shapes, layouts)
    while left and len(changes) < _MOST_FIELDS:
        tries = [
            (_count_misfits(evolve(config, **{field: value}), shapes, layouts), order, field, value)
            for order, (field, value) in enumerate(_suggest_fields(config, shapes))
            if field not in changes and _fits_slot(field, value, layouts)
        ]
        best = min(tries, key=lambda attempt: attempt[:2], default=None)
        if best is None or best[0] >= left:
            return {}
        left, _, field, value = best
        config = evolve(config, **{field: value})
        changes[field] = value
    return {} if left else changes


def _count_misfits(config: GPTConfig, shapes: Mapping[str, Shape], layouts: Layouts) -> int:
    try:
        wanted = lay_out(config, layouts).with_layers([0])
    except MyptError:  # a plugin's part rejects this config
        return sys.maxsize
    return sum(wanted.get(name) != shapes.get(name) for name in {**wanted, **shapes})


def _fits_slot(field: str, value: Any, layouts: Layouts) -> bool:
    return not field.endswith(("_type", "_encoding")) or (field, value) in layouts


def _suggest_fields(config: GPTConfig, shapes: Mapping[str, Shape]) -> Iterator[Candidate]:
    """Yield values that single fields may have had, the most telling first."""
    match shapes.get(EMBEDDING):
        case (rows, columns):
            yield "vocab_size", rows
            yield "n_embd", columns
    match shapes.get(POSITIONS):
        case (rows, _):
            yield "block_size", rows
            yield "pos_encoding", "learned"
        case _:
            yield "pos_encoding", "rope"
    yield from _suggest_mlp_fields(shapes)
    yield from _suggest_norm_fields(shapes)
    match shapes.get("blocks.0.sa.proj.weight"):
        case (_, width):
            yield from (("head_size", width // heads) for heads in _list_head_counts(width))
    match shapes.get("blocks.0.sa.qkv.weight"):
        case (rows, _) if config.head_width:  # of all queries, then keys and values
            groups = (rows - config.attention_width) // (2 * config.head_width)
            yield "n_kv_head", max(1, groups)
    for field in ("bias", *BIAS_FIELDS):
        yield field, True
        yield field, False


def _suggest_mlp_fields(shapes: Mapping[str, Shape]) -> Iterator[Candidate]:
    for name, kind in (("net.0", "gelu"), ("w_gate", "swiglu")):
        match shapes.get(f"blocks.0.fwd.{name}.weight"):
            case (rows, _):
                yield "mlp_type", kind
                yield "mlp_hidden", rows


def _suggest_norm_fields(shapes: Mapping[str, Shape]) -> Iterator[Candidate]:
    yield "norm_type", "layernorm" if "blocks.0.ln1.bias" in shapes else "rmsnorm"
    if "blocks.0.ln1_post.weight" in shapes:
        yield "block_type", "sandwich_norm"
    else:
        yield "block_type", "pre_norm" if "blocks.0.ln2.weight" in shapes else "parallel"
    yield "qk_norm", None
    if "blocks.0.sa.q_norm.weight" in shapes:
        yield from (("qk_norm", kind) for kind in ("width", "head"))
    yield "norm_weight", "blocks.0.ln1.weight" in shapes
    yield "final_norm", any(name.startswith("ln_f.") for name in shapes)
    yield "embedding_norm", any(name.startswith(_EMBEDDING_NORM) for name in shapes)


def _list_head_counts(width: int) -> Iterator[int]:
    return (heads for heads in range(1, min(width, 256) + 1) if width % heads == 0)
