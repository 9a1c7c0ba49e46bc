"""How the tensors of `model.pt` must agree with the config."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.format.adapters.places import A
from mypt.format.errors import FormatError, Problem, format_count
from mypt.format.layout import EMBEDDING, HEAD, lay_out
from mypt.format.schema.messages import format_value
from mypt.format.tensors.info import FLOATING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts, ModelLayout, Tensors
    from mypt.format.tensors.info import TensorInfo

TIED, MISMATCH = "tensor.tied", "config.mismatch"
MAX_PROBLEMS = 50
# What follows the prefix of the layers.
_IN_LAYER = re.compile(r"(0|[1-9][0-9]{0,6})\.(.+)", re.DOTALL)


@frozen
class Model:
    """A config and the tensors that must fit it.

    Attributes:
        config: A config accepted by its schema.
        tensors: The tensors in the file.
        layouts: The known parts, including those of the config.
        config_file: Name of the config's file, for messages.
        file: Name of the tensors' file, for messages.
        is_returned: Whether the reader of a plugin returned both, so that no file says either.
    """

    config: GPTConfig
    tensors: Mapping[str, TensorInfo]
    layouts: Layouts
    config_file: str
    file: str
    is_returned: bool = False

    def problem(self, name: str, what: str, kind: str) -> Problem:
        """Return a problem with a tensor."""
        fix = "restore the file, or the config that it was saved with"
        return Problem(self.file, name, what, fix, kind=f"tensor.{kind}")

    def misfit(self, field: str, what: str, value: object) -> Problem:
        """Return a problem with a field of the config that does not fit the tensors."""
        fix = f"set it back to {format_value(value)}"
        return Problem(self.config_file, f"/{field}", what, fix, kind=MISMATCH)


def tensor_problems(model: Model) -> list[Problem]:
    """Compare the tensors' names, shapes, dtypes and shared memory with the config.

    If a field of the config explains everything, that field is the only problem.
    """
    problems = [*_shape_problems(model), *_dtype_problems(model), *_overlap_problems(model)]
    if len(problems) > MAX_PROBLEMS:
        what = f"has {format_count(len(problems) - MAX_PROBLEMS, 'more problem')} like these"
        problems[MAX_PROBLEMS:] = [model.problem("", what, "more")]
    return [*problems, *_tied_notes(model)]


def _shape_problems(model: Model) -> list[Problem]:
    layout, held = lay_out(model.config, model.layouts), model.tensors.items()
    outside, layers = _split_layers({name: info.shape for name, info in held}, layout.prefix)
    wanted = layout.outside
    is_known = wanted.keys() & outside.keys() or (layers and model.config.adapter is not None)
    if not is_known:
        first = next(iter(model.tensors), None)
        what = f"holds no tensor of a mypt model; its first is `{first}`" if first else "is empty"
        fix = "if another program wrote it, convert it: mypt format migrate"
        return [Problem(model.file, "", what, fix, kind="tensor.foreign")]
    problems = _depth_problems(model, layout, layers)
    # What a plugin's part would have in a layer that there cannot be, it need not know.
    known = {n: held for n, held in layers.items() if layout.is_uniform or n < model.config.n_layer}
    if outside == wanted and all(held == layout.layer(n) for n, held in known.items()):
        return problems
    problem = _rank_problem(model, known)
    if problem is not None:
        return [*problems, problem]
    changes = _explain_shapes(model, layout.prefix, outside, known)
    if changes:
        return problems + [
            _changed_field_problem(model, field, value) for field, value in changes.items()
        ]
    problems += [
        model.problem(name, *fault) for name, fault in _find_faults(wanted, outside).items()
    ]
    return problems + _layer_problems(model, layout, known)


def _rank_problem(model: Model, layers: Mapping[int, Tensors]) -> Problem | None:
    """Return a problem if an adapter's tensors fit, but for its rank."""
    adapter = model.config.adapter
    held = next((s for layer in layers.values() for n, s in layer.items() if n.endswith(A)), None)
    if adapter is None or held is None or not held or held[0] in (0, adapter.rank):
        return None
    fitting = evolve(model.config, adapter=evolve(adapter, rank=held[0]))
    layer_of = lay_out(fitting, model.layouts).layer
    if any(tensors != layer_of(n) for n, tensors in layers.items()):
        return None
    what = f"is {adapter.rank}, but {_get_file_name(model.file)} was saved with {held[0]}"
    return model.misfit("adapter/rank", what, held[0])


def _explain_shapes(
    model: Model, prefix: str, outside: Tensors, layers: Mapping[int, Tensors]
) -> Mapping[str, Any]:
    """Return the fields, with their values, that make all tensors fit; none where none do."""
    if model.config.adapter is not None:
        return {}  # the shapes of the base do not follow from those of an adapter
    from mypt.format.rules.shape_diagnosis import (
        explain_shapes,  # only needed if something does not fit
    )

    first = next(iter(layers.values()), {})
    one_layer = {f"{prefix}0.{name}": shape for name, shape in first.items()}
    changes = explain_shapes(model.config, outside | one_layer, model.layouts)
    layer_of = lay_out(evolve(model.config, **changes), model.layouts).layer
    return changes if all(held == layer_of(n) for n, held in layers.items()) else {}


def _changed_field_problem(model: Model, field: str, value: object) -> Problem:
    now = format_value(getattr(model.config, field))
    what = f"is {now}, but {_get_file_name(model.file)} was saved with {format_value(value)}"
    if model.is_returned:
        what = f"is {now}, but its tensors are those of {format_value(value)}"
    return model.misfit(field, what, value)


def _depth_problems(
    model: Model, layout: ModelLayout, layers: Mapping[int, Tensors]
) -> list[Problem]:
    """Compare the number of layers, reporting whole layers that are missing or unexpected."""
    depth, held = model.config.n_layer, sorted(layers)
    if held == list(range(len(held))):
        if len(held) == depth or (len(held) < depth and not layout.layer(len(held))):
            return []
        what = (
            f"is {depth}, but {_get_file_name(model.file)} holds {format_count(len(held), 'block')}"
        )
        return [model.misfit("n_layer", what, len(held))]
    problems, place = [], layout.prefix
    for before, after in pairwise([-1, *(index for index in held if index < depth), depth]):
        if after - before > 1 and any(map(layout.layer, range(before + 1, after))):
            more = f" to {place}{after - 1}" if after - before > 2 else ""
            problems.append(model.problem(f"{place}{before + 1}{more}", "is missing", "missing"))
    beyond = [index for index in held if index >= depth]
    return problems + [
        model.problem(f"{place}{index}", f"is beyond n_layer ({depth})", "unexpected")
        for index in beyond
    ]


def _layer_problems(
    model: Model, layout: ModelLayout, layers: Mapping[int, Tensors]
) -> list[Problem]:
    """Return the problems inside layers; one that all layers share is reported once."""
    places: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, held in sorted(layers.items()):
        for name, (what, kind) in _find_faults(layout.layer(index), held).items():
            places[name, what, kind].append(index)
    problems = []
    for (name, what, kind), indices in places.items():
        shared = len(indices) == len(layers) > 1
        text = f"{what} (in all {len(layers)} blocks)" if shared else what
        where = indices[:1] if shared else indices
        problems += [model.problem(f"{layout.prefix}{n}.{name}", text, kind) for n in where]
    return problems


def _find_faults(wanted: Tensors, held: Tensors) -> dict[str, tuple[str, str]]:
    """Return what is wrong with each faulty tensor, and the kind of problem, by name."""
    faults = {}
    for name in {**wanted, **held}:
        if name not in held:
            faults[name] = ("is missing", "missing")
        elif name not in wanted:
            faults[name] = ("does not belong to a model of this config", "unexpected")
        elif wanted[name] != held[name]:
            faults[name] = (f"has shape {held[name]}, not {wanted[name]}", "shape")
    return faults


def _split_layers(tensors: Tensors, prefix: str) -> tuple[Tensors, dict[int, Tensors]]:
    """Split the tensors into those outside of layers and those of each layer, by its number."""
    outside: Tensors = {}
    layers: dict[int, Tensors] = defaultdict(dict)
    for name, shape in tensors.items():
        inside = _IN_LAYER.fullmatch(name, len(prefix)) if name.startswith(prefix) else None
        if inside:
            layers[int(inside[1])][inside[2]] = shape
        else:
            outside[name] = shape
    return outside, layers


def _dtype_problems(model: Model) -> list[Problem]:
    return [
        model.problem(name, f"has dtype {info.dtype}, not a floating-point one", "dtype")
        for name, info in model.tensors.items()
        if info.dtype not in FLOATING
    ]


def _overlap_problems(model: Model) -> list[Problem]:
    """Return a problem for tensors that share memory, except an output layer and its embedding."""
    spans = sorted(
        (info.storage_key, *info.span, name) for name, info in model.tensors.items() if info.numel
    )
    tied = ({EMBEDDING, HEAD}, _get_span(model, EMBEDDING) == _get_span(model, HEAD))
    return [
        model.problem(name, f"shares memory with {other}", "shared")
        for (key, _, end, other), (other_key, start, _, name) in pairwise(spans)
        if key == other_key and start < end and ({name, other}, True) != tied
    ]


def _get_span(model: Model, name: str) -> tuple[int, int] | None:
    info = model.tensors.get(name)
    return info.span if info else None


def _tied_notes(model: Model) -> list[Problem]:
    """Return a note if tied matrices are stored twice: a header cannot show that they are equal."""
    first, second = model.tensors.get(EMBEDDING), model.tensors.get(HEAD)
    if not model.config.tie_weights or first is None or second is None:
        return []
    if first.storage_key == second.storage_key:
        return []
    what = f"is tied to {EMBEDDING} but stored a second time"
    fix = "check that they are equal: mypt format validate --checksums"
    return [Problem(model.file, HEAD, what, fix, kind=TIED, severity="note")]


def check_tied(weights: Mapping[str, Any], file: str) -> None:
    """Raise a `FormatError` if the tied head and embedding are stored twice and differ.

    Args:
        weights: Tensors by name.
        file: What messages call the place they come from.
    """
    first, second = weights.get(EMBEDDING), weights.get(HEAD)
    if first is None or second is None or first is second:
        return
    if first.data_ptr() == second.data_ptr():
        return
    from mypt.format.tensors.transforms import have_equal_bits  # validation starts without it

    if not have_equal_bits(first, second):
        raise FormatError(untied_problem(file))


def untied_problem(file: str) -> Problem:
    """Describe tied matrices whose values differ."""
    what = f"differs from {EMBEDDING}, to which the config ties it"
    fix = "restore the file, or set tie_weights to false"
    return Problem(file, HEAD, what, fix, kind=TIED)


def _get_file_name(file: str) -> str:
    return file.rpartition("/")[2]
