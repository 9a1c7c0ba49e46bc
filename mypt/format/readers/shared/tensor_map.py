"""Map the tensors of a foreign model to mypt's names, checking all before touching any."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import BUILT_IN, expected_tensors, lay_out, trainable_shapes
from mypt.format.migrations.optimizer_moments import arrange_moments
from mypt.format.optimizers.adamw import MOMENTS
from mypt.format.optimizers.indices import order_parameters
from mypt.format.optimizers.parameter_rules import split_by_decay
from mypt.format.readers.shared.optimizer import FIX as OPTIMIZER_FIX
from mypt.format.readers.shared.tensor_source import TensorSource, source_shapes, take_tensor
from mypt.format.rules.documents import document_problems
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mypt.format.layout import Layouts, ModelLayout, Shape

_MAX_PROBLEMS = 20
# How the moments change where a factor is folded into the weights.
MOMENT_POWERS = dict(zip(MOMENTS, (-1, -2), strict=True))
_FIX = "restore the file: this model would compute something else"


def make_config(
    fields: Mapping[str, Any], file: str, layouts: Layouts = BUILT_IN
) -> tuple[dict[str, Any], GPTConfig]:
    """Return a checked config as a document and as an object.

    Args:
        fields: Fields of `config.json`; those that are None are left out.
        file: Name of the file they come from, for messages.
        layouts: The parts that the reader knows.

    Raises:
        FormatError: The config is invalid.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    document = {"format_version": FORMAT_VERSION, **given}
    problems = document_problems("config", document, file, layouts)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise FormatError(*errors)
    return document, from_document(GPTConfig, document)


def find_sources(
    config: GPTConfig,
    find_source: Callable[[str], TensorSource],
    tensors: Mapping[str, Any],
    file: str,
    layouts: Layouts = BUILT_IN,
) -> dict[str, TensorSource]:
    """Return the source of each tensor of a model, in mypt's order.

    Args:
        config: The architecture.
        find_source: Returns the source of a tensor by mypt's name.
        tensors: The tensors in the file.
        file: Name of the file, for messages.
        layouts: The parts that the reader knows.

    Raises:
        FormatError: There are more layers than the tensors could fill; they are not all listed.
    """
    layout = lay_out(config, layouts)
    if layout.is_uniform and config.n_layer * _count_layer(layout, find_source) > len(tensors):
        what = f"declares {config.n_layer} layers, but has only {len(tensors)} tensors"
        raise FormatError(Problem(file, "", what, _FIX, kind="tensor.missing"))
    return {name: find_source(name) for name in expected_tensors(config, layouts)}


def _count_layer(layout: ModelLayout, find_source: Callable[[str], TensorSource]) -> int:
    """Return the number of the file's tensors that one layer is made of."""
    sources = (find_source(f"{layout.prefix}0.{name}") for name in layout.layer(0))
    return len({name for source in sources for name in source.names})


def map_tensors(
    tensors: Mapping[str, Any],
    sources: Mapping[str, TensorSource],
    config: GPTConfig,
    file: str,
    layouts: Layouts = BUILT_IN,
) -> dict[str, Any]:
    """Return the tensors under mypt's names.

    Args:
        tensors: The tensors in the file, without buffers, or their descriptions.
        sources: The source of each tensor of the model.
        config: The architecture.
        file: Name of the file, for messages.
        layouts: The parts that the reader knows.

    Raises:
        FormatError: A tensor is missing, unexpected, or has the wrong shape or dtype.
    """
    wanted: dict[str, Shape] = {}
    for name, shape in expected_tensors(config, layouts).items():
        wanted |= source_shapes(sources[name], shape)
    problems = list(islice(_find_faults(tensors, wanted, file), _MAX_PROBLEMS + 1))
    if problems:
        raise FormatError(*_limit_problems(problems, file))
    return {name: take_tensor(source, tensors) for name, source in sources.items()}


def map_moments(
    optimizer: Mapping[str, Any],
    order: Iterable[str],
    sources: Mapping[str, TensorSource],
    tensors: Mapping[str, Any],
    config: GPTConfig,
    *,
    rule: str,
    file: str,
    layouts: Layouts = BUILT_IN,
) -> dict[str, Any]:
    """Return an AdamW state by mypt's names, with its moments mapped as the weights are.

    Args:
        optimizer: The state dict as its program saved it.
        order: Names of the file's trainable tensors, in the order in which that program numbers
            them within each of its groups.
        sources: The source of each tensor of the model.
        tensors: The tensors in the file.
        config: The architecture; a tied head is not a parameter of its own.
        rule: Which parameters that program decays, as `parameter_rules.decays` takes it.
        file: Name of the file, for messages.
        layouts: The parts that the reader knows.

    Raises:
        FormatError: The state does not belong to these tensors.
    """
    groups = optimizer["param_groups"]
    old = {name: tuple(tensors[name].shape) for name in order}
    numbered = order_parameters(old, rule)
    _check_groups(optimizer, [len(group) for group in split_by_decay(old, rule)], file)
    moments = {numbered[index]: state for index, state in optimizer["state"].items()}
    _check_moments(moments, old, file)
    shapes = trainable_shapes(expected_tensors(config, layouts), tied=config.tie_weights)
    arranged = {
        name: _map_tensor_moments(sources[name], moments)
        for name in shapes
        if all(part in moments for part in sources[name].names)
    }
    return arrange_moments(arranged, shapes, rule, groups, file)


def _map_tensor_moments(
    source: TensorSource, moments: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    arranged = {
        key: take_tensor(source, {name: moments[name][key] for name in source.names}, power)
        for key, power in MOMENT_POWERS.items()
    }
    return {"step": moments[source.names[0]]["step"], **arranged}


def _check_groups(optimizer: Mapping[str, Any], wanted: list[int], file: str) -> None:
    """Raise if the group sizes or parameter numbers do not match those of the model."""
    groups = [group["params"] for group in optimizer["param_groups"]]
    held = [len(group) for group in groups]
    if [size for size in held if size] != [size for size in wanted if size]:
        what = f"has groups of {held} parameters, but the model has {wanted}"
        raise FormatError(Problem(file, "the optimizer state", what, OPTIMIZER_FIX))
    numbers = range(sum(held))
    if [number for group in groups for number in group] != list(numbers):
        what = "does not number its parameters in order"
        raise FormatError(Problem(file, "the optimizer state", what, OPTIMIZER_FIX))
    if any(index not in numbers for index in optimizer["state"]):
        what = "has moments of parameters that are in no group"
        raise FormatError(Problem(file, "the optimizer state", what, OPTIMIZER_FIX))


def _check_moments(
    moments: Mapping[str, Mapping[str, Any]], shapes: Mapping[str, Shape], file: str
) -> None:
    problems = [
        Problem(file, name, f"has moments of shape {shape}, not {shapes[name]}", OPTIMIZER_FIX)
        for name, state in moments.items()
        for shape in (tuple(state[key].shape) for key in MOMENTS)
        if shape != shapes[name]
    ]
    if problems:
        raise FormatError(*_limit_problems(problems, file))


def _find_faults(
    tensors: Mapping[str, Any], wanted: Mapping[str, Shape], file: str
) -> Iterable[Problem]:
    for name, shape in wanted.items():
        if name not in tensors:
            yield Problem(file, name, "is missing", _FIX, kind="tensor.missing")
            continue
        held = tuple(tensors[name].shape)
        if held != shape:
            what = f"has shape {held}, not {shape}"
            yield Problem(file, name, what, _FIX, kind="tensor.shape")
        elif "float" not in str(tensors[name].dtype):
            what = f"has dtype {tensors[name].dtype}, not a floating-point one"
            yield Problem(file, name, what, _FIX, kind="tensor.dtype")
    for name in tensors:
        if name not in wanted:
            what = "does not belong to a model of this configuration"
            yield Problem(file, name, what, _FIX, kind="tensor.unexpected")


def _limit_problems(problems: list[Problem], file: str) -> list[Problem]:
    if len(problems) <= _MAX_PROBLEMS:
        return problems
    what = "has more problems like these"
    return [*problems[:_MAX_PROBLEMS], Problem(file, "", what, _FIX, kind="tensor.more")]
