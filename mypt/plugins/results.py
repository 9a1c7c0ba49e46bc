"""Check what the functions of a plugin's factories return, and isolate what is called of it.

It names every contract, and so is imported when such a function has returned.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.errors import Problem
from mypt.format.optimizers.declaration import StateNumber, StateTensor
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.result import check_checkpoint
from mypt.plugins.contracts.command import CommandFactory
from mypt.plugins.contracts.data_source import DataSourceFactory
from mypt.plugins.contracts.exporter import ExporterFactory
from mypt.plugins.contracts.guard import GuardFactory, Verdict
from mypt.plugins.contracts.part import PartFactory
from mypt.plugins.contracts.sink import LogSink, SinkFactory
from mypt.plugins.contracts.tokenizer import Tokenizer, TokenizerFactory
from mypt.plugins.contracts.training import LossFactory, OptimizerFactory, ScheduleFactory
from mypt.plugins.decoding.isolated import isolate_processor
from mypt.plugins.decoding.logit_processors import LogitProcessorFactory

if TYPE_CHECKING:
    from collections.abc import Callable

# The names, in messages, of the functions that factories build.
_BUILT_FUNCTIONS: Mapping[type, str] = {
    GuardFactory: "judge",
    ScheduleFactory: "factor",
    LogitProcessorFactory: "begin",
}


def check_result(factory: object, function: str, made: Any) -> Any:
    """Check the result of a factory's function, and return it in the form that mypt uses.

    Args:
        factory: The factory.
        function: The field with the function; `judge` for a guard that the factory has built,
            `factor` for a schedule.
        made: The result.

    Raises:
        TypeError: The result violates the contract of the factory.
        ValueError: So does a value inside it.
    """
    accept = _RESULT_CHECKS.get((type(factory), function))
    return made if accept is None else accept(made)


def accept_result(
    factory: object, function: str, made: Any, wrap: Callable[[str, Callable[..., Any]], Any]
) -> Any:
    """Check the result of a factory's function, and isolate what of it is called later.

    Args:
        factory: The factory.
        function: The field with the function.
        made: The result.
        wrap: Isolates a function that is called by the name which is its first argument.

    Raises:
        TypeError: The result violates the contract of the factory.
        ValueError: So does a value inside it.
    """
    made = check_result(factory, function, made)
    if function == "build" and isinstance(factory, LossFactory):
        return _isolate_loss(made, partial(wrap, "loss"))
    if function == "begin":
        return isolate_processor(made, wrap)
    called = _BUILT_FUNCTIONS.get(type(factory)) if function == "build" else None
    return made if called is None else wrap(called, made)


def _isolate_loss(made: Any, isolate: Callable[..., Any]) -> Any:
    """Return a loss of a plugin as one that fails by name; what mypt computes itself stays."""
    from mypt.plugins.nn.token_loss import CrossEntropy, IsolatedLoss  # imports torch

    return made if isinstance(made, CrossEntropy) else IsolatedLoss(made, isolate)


def _require_instance(wanted: type[Any], made: object) -> Any:
    if not isinstance(made, wanted):
        raise TypeError(_describe_result(made, f"not {wanted.__name__}"))
    return made


def _require_module(made: object) -> object:
    from torch import nn

    return _require_instance(nn.Module, made)


def _require_function(made: object) -> object:
    if not callable(made):
        raise TypeError(_describe_result(made, "not a function"))
    return made


def _convert_settings(made: object) -> dict[str, Any]:
    """Return updated settings as a JSON object; they stand in documents."""
    if not isinstance(made, Mapping):
        raise TypeError(_describe_result(made, "not a mapping"))
    kept: dict[str, Any] = json.loads(json.dumps(dict(made), allow_nan=False))
    return kept


def _require_protocol(protocol: type, made: object) -> object:
    """Raise if an attribute of a protocol is missing; their behaviour is for the plugin's tests."""
    wanted = [name for name in vars(protocol) if not name.startswith("_")]
    missing = [f"`{name}`" for name in wanted if not hasattr(made, name)]
    if missing:
        raise TypeError(_describe_result(made, f"which lacks {', '.join(missing)}"))
    return made


def _convert_shapes(tensors: Any) -> dict[str, tuple[int, ...]]:
    return {str(name): tuple(map(int, shape)) for name, shape in tensors.items()}


def _require_tensor(made: object) -> object:
    from torch import Tensor

    return _require_instance(Tensor, made)


def _require_command(made: object) -> object:
    import click

    return _require_instance(click.Command, made)


def _require_optimizer(made: object) -> object:
    from torch.optim import Optimizer

    return _require_instance(Optimizer, made)


def _require_kept(made: Any) -> dict[str, StateTensor | StateNumber]:
    for name, value in made.items():
        if not (isinstance(name, str) and isinstance(value, (StateTensor, StateNumber))):
            fault = f"with {value!r:.60} for {name!r:.60}, not StateTensor or StateNumber"
            raise TypeError(_describe_result(made, fault))
    return {
        name: evolve(value, shape=tuple(map(int, value.shape)))
        if isinstance(value, StateTensor)
        else value
        for name, value in made.items()
    }


def _require_documents(made: object) -> object:
    """Raise for what is iterable too: a text by its characters, a mapping by its keys."""
    if isinstance(made, (str, bytes, bytearray, Mapping)):
        raise TypeError(_describe_result(made, "not an iterable of documents"))
    return _require_instance(Iterable, made)


def _convert_share(made: Any) -> float:
    """Return what a schedule returns as a float."""
    if not hasattr(made, "__float__"):
        raise TypeError(_describe_result(made, "not a number"))
    share = float(made)
    if not 0 <= share <= 1:
        fault = f"it returns {share}, not a number from 0 (min_lr) to 1 (the peak)"
        raise ValueError(fault)
    return share


def _require_verdict(made: Any) -> object:
    """Raise for what a run could not save, as well as for what is no verdict."""
    _require_instance(Verdict, made)
    try:
        json.dumps(dict(made.memory), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        fault = f"whose memory is not JSON ({error})"
        raise TypeError(_describe_result(made, fault)) from error
    return made


def _convert_items(wanted: type[Any], made: Any) -> tuple[Any, ...]:
    """Return what an exporter returns as a tuple of that type."""
    items = (made,) if isinstance(made, str) else tuple(made)
    for item in items:
        if not isinstance(item, wanted):
            fault = f"with {item!r:.60}, not {wanted.__name__}"
            raise TypeError(_describe_result(made, fault))
    return items


def _describe_result(made: object, fault: str) -> str:
    return f"it returns {type(made).__name__}, {fault}"


_RESULT_CHECKS: Mapping[tuple[type, str], Callable[[Any], Any]] = {
    (PartFactory, "build"): _require_module,
    (PartFactory, "tensors"): _convert_shapes,
    (TokenizerFactory, "build"): partial(_require_protocol, Tokenizer),
    (TokenizerFactory, "train"): partial(_require_protocol, Tokenizer),
    (TokenizerFactory, "train_pieces"): partial(_require_protocol, Tokenizer),
    (OptimizerFactory, "build"): _require_optimizer,
    (OptimizerFactory, "state"): _require_kept,
    (ScheduleFactory, "build"): _require_function,
    (ScheduleFactory, "factor"): _convert_share,
    (ScheduleFactory, "decay_step"): operator.index,
    (LossFactory, "build"): _require_function,
    (DataSourceFactory, "read"): _require_documents,
    (GuardFactory, "build"): _require_function,
    (GuardFactory, "judge"): _require_verdict,
    (SinkFactory, "build"): lambda made: made if made is None else _require_protocol(LogSink, made),
    (ReaderFactory, "read"): check_checkpoint,
    (LogitProcessorFactory, "build"): _require_function,
    (LogitProcessorFactory, "begin"): _require_function,
    (LogitProcessorFactory, "__call__"): _require_tensor,
    (LogitProcessorFactory, "is_complete"): bool,
    (LogitProcessorFactory, "is_done"): bool,
    (ExporterFactory, "explain"): partial(_convert_items, Problem),
    (ExporterFactory, "write"): partial(_convert_items, str),
    (CommandFactory, "load"): _require_command,
    **{
        (factory, "update"): _convert_settings
        for factory in (
            PartFactory,
            TokenizerFactory,
            OptimizerFactory,
            ScheduleFactory,
            LossFactory,
            DataSourceFactory,
            GuardFactory,
            SinkFactory,
        )
    },
}
