"""nanochat's model in mypt's terms: its sizes, and where its tensors come from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.plugins import FormatError, GPTConfig, Problem, TensorInfo
from mypt_nanochat.layout import ARCHITECTURE, SHARPNESS, has_value_embedding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    Shape = tuple[int, ...]

_SIZES = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd")
_PATTERN = "window_pattern"
_MOST = 2**31
# Rows of matrices of the vocabulary are a multiple of this; nanochat never reads those beyond it.
_ROWS = 64
_SHORT_STEP = 128  # short windows are a multiple of this
_RESTORE = "restore the file"


@frozen
class Source:
    """Where one of mypt's tensors comes from.

    Attributes:
        names: Names of nanochat's tensors, whose rows follow one another.
        shapes: Their shapes.
        rows: Number of first rows that are used; None for all.
        mirrored: Names of those that make queries or keys.
        head_width: Width of their heads.
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    rows: int | None = None
    mirrored: tuple[str, ...] = ()
    head_width: int = 0

    def take(self, tensors: Mapping[str, Any]) -> Any:
        """Return the tensor, or its description where the tensors are descriptions."""
        parts = [tensors[name] for name in self.names]
        if isinstance(parts[0], TensorInfo):
            return self._describe(parts[0])
        if len(parts) == 1:
            return parts[0] if self.rows is None else parts[0][: self.rows]
        import torch

        return torch.cat(
            [
                _mirror(part, self.head_width) if name in self.mirrored else part
                for name, part in zip(self.names, parts, strict=True)
            ]
        )

    def _describe(self, first: TensorInfo) -> TensorInfo:
        count, width = sum(shape[0] for shape in self.shapes), self.shapes[0][1:]
        if self.rows is not None:
            return first.with_shape((self.rows, *width), "cut")
        return first if len(self.names) == 1 else first.with_shape((count, *width), "joined")


def _mirror(weight: Tensor, head_width: int) -> Tensor:
    """Change the sign of the second half of each head of queries or keys.

    nanochat rotates by the negative of mypt's angle; of such heads, that is the same.
    """
    halves = weight.unflatten(0, (-1, 2, head_width // 2)).clone()
    halves[:, 1].neg_()
    return halves.flatten(0, 2)


def read_config(path: Path, most_layers: int) -> dict[str, Any]:
    """Return the fields of mypt's config from a document `meta_….json`.

    Args:
        path: The document.
        most_layers: A number of layers that the model cannot have more of.

    Raises:
        FormatError: It is damaged, or has something that changes the model and is not known.
    """
    file = str(path)
    sizes = _read_sizes(path, file)
    length, layers = sizes["sequence_len"], sizes["n_layer"]
    if layers > most_layers:
        what = f"is {layers}, but the file of weights has only {most_layers} tensors"
        raise _make_error(file, "/model_config/n_layer", what)
    for whole, part in (("n_embd", "n_head"), ("n_head", "n_kv_head")):
        if sizes[whole] % sizes[part]:
            what = f"is {sizes[part]}, which does not divide {whole} ({sizes[whole]})"
            raise _make_error(file, f"/model_config/{part}", what)
    short = -(-length // 4 // _SHORT_STEP) * _SHORT_STEP + 1  # a position sees itself, too
    is_short = [*_list_short_layers(sizes.get(_PATTERN, "L"), layers, file)]
    has_windows = any(is_short) and short < length
    return {
        **ARCHITECTURE,
        "block_size": length,
        "vocab_size": sizes["vocab_size"],
        "n_embd": sizes["n_embd"],
        "n_head": sizes["n_head"],
        "n_kv_head": sizes["n_kv_head"],
        "n_layer": layers,
        "attn_scale": SHARPNESS * (sizes["n_embd"] // sizes["n_head"]) ** -0.5,
        "sliding_window": short if has_windows else None,
        _PATTERN: "".join("S" if one else "F" for one in is_short) if has_windows else None,
        "dropout": 0.0,
    }


def list_sources(config: GPTConfig) -> dict[str, Source]:
    """Return the source of each tensor of mypt's, in mypt's order."""
    return dict(_yield_sources(config))


def check_tensors(tensors: Mapping[str, Any], sources: Iterable[Source], file: str) -> None:
    """Raise a `FormatError` unless these are the tensors of such a model, no more and no less."""
    wanted = {
        name: shape
        for source in sources
        for name, shape in zip(source.names, source.shapes, strict=True)
    }
    missing = [name for name in wanted if name not in tensors]
    unknown = [name for name in tensors if name not in wanted]
    if missing or unknown:
        what = "is of another version of nanochat than mypt-nanochat reads"
        what += f": it lacks {', '.join(missing[:3])}" if missing else ""
        what += f": it has {', '.join(unknown[:3])}" if unknown and not missing else ""
        fix = "train it with nanochat of July 2026, or update mypt-nanochat"
        raise FormatError(Problem(file, "", what, fix, kind="nanochat.version"))
    problems = [
        Problem(file, name, f"has shape {held}, not {shape}", _RESTORE, kind="tensor.shape")
        for name, shape in wanted.items()
        if (held := tuple(tensors[name].shape)) != shape
    ]
    if problems:
        raise FormatError(*problems[:20])


def _read_sizes(path: Path, file: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        sizes = document["model_config"]
        given = {name: sizes[name] for name in _SIZES}
    except OSError as error:
        raise _make_error(file, "", f"cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        what = f"does not hold the sizes of a model ({type(error).__name__}: {error})"
        raise _make_error(file, "/model_config", what) from error
    for name, value in given.items():
        if type(value) is not int or not 0 < value < _MOST:
            what = f"is {value!r:.60}, not a positive whole number"
            raise _make_error(file, f"/model_config/{name}", what)
    for name in sizes.keys() - {*_SIZES, _PATTERN}:
        what = "is not known to mypt-nanochat, and may change what the model computes"
        fix = "update mypt-nanochat"
        problem = Problem(file, f"/model_config/{name}", what, fix, kind="foreign.key")
        raise FormatError(problem)
    return dict(sizes)


def _list_short_layers(pattern: Any, layers: int, file: str) -> Iterator[bool]:
    """Yield whether each layer has a short window; the last one never has."""
    if not isinstance(pattern, str) or not pattern or {*pattern.upper()} - {*"SL"}:
        what = f"is {pattern!r:.60}, not made of S and L"
        raise _make_error(file, f"/model_config/{_PATTERN}", what)
    for layer in range(layers):
        yield pattern[layer % len(pattern)].upper() == "S" and layer < layers - 1


def _yield_sources(config: GPTConfig) -> Iterator[tuple[str, Source]]:
    width, ids = config.n_embd, config.vocab_size
    yield "token_embedding_table.weight", _vocabulary("transformer.wte.weight", ids, width)
    yield "blocks.residual_factors", Source(("resid_lambdas",), ((config.n_layer,),))
    yield "blocks.first_factors", Source(("x0_lambdas",), ((config.n_layer,),))
    yield "blocks.middle_factor", Source(("backout_lambda",), ((1,),))
    yield "blocks.smear.factor", Source(("smear_lambda",), ((1,),))
    yield "blocks.smear.gate.weight", Source(("smear_gate.weight",), ((1, 24),))
    for layer in range(config.n_layer):
        for name, source in _yield_layer_sources(config, layer):
            yield f"blocks.layers.{layer}.{name}", source
    yield "lm_head.weight", _vocabulary("lm_head.weight", ids, width)


def _yield_layer_sources(config: GPTConfig, layer: int) -> Iterator[tuple[str, Source]]:
    place, width = f"transformer.h.{layer}", config.n_embd
    kv_width = config.kv_width
    heads = ((width, width), (kv_width, width), (kv_width, width))
    names = tuple(f"{place}.attn.c_{what}.weight" for what in "qkv")
    joined = Source(names, heads, mirrored=names[:2], head_width=config.head_width)
    yield "sa.qkv.weight", joined
    yield "sa.proj.weight", Source((f"{place}.attn.c_proj.weight",), ((width, width),))
    if has_value_embedding(config, layer):
        name = f"value_embeds.{layer}.weight"
        yield "sa.value_embedding.weight", _vocabulary(name, config.vocab_size, kv_width)
        gate = ((config.kv_heads, 12),)
        yield "sa.value_gate.weight", Source((f"{place}.attn.ve_gate.weight",), gate)
    yield "fwd.up.weight", Source((f"{place}.mlp.c_fc.weight",), ((4 * width, width),))
    yield "fwd.down.weight", Source((f"{place}.mlp.c_proj.weight",), ((width, 4 * width),))


def _vocabulary(name: str, ids: int, width: int) -> Source:
    """Return the source of a matrix with a row for each id and some rows of padding."""
    rows = count_rows(ids)
    return Source((name,), ((rows, width),), ids if rows > ids else None)


def count_rows(ids: int) -> int:
    """Return the number of rows of nanochat's matrices of a vocabulary."""
    return -(-ids // _ROWS) * _ROWS


def _make_error(file: str, where: str, what: str) -> FormatError:
    return FormatError(Problem(file, where, what, _RESTORE, kind="nanochat.meta"))
