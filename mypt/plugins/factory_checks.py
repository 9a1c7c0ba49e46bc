"""What a plugin's factories must hold, and what their functions must give."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import fields

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.layout import SLOTS
from mypt.format.readers.contract import ReaderFactory
from mypt.format.schema.messages import json_pointer
from mypt.plugins.contracts import (
    GuardFactory,
    LogSink,
    PartFactory,
    SinkFactory,
    Tokenizer,
    TokenizerFactory,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def find_flaw(factory: Any) -> str | None:
    """Say which field of a factory cannot be used, and why; None if all can."""
    for field in fields(type(factory)):
        value = getattr(factory, field.name)
        is_left_out = value is None and field.default is None
        flaw = None if is_left_out else _FLAW_FINDERS[field.name](value)
        if flaw is not None:
            return f"`{field.name}` is {flaw}"
    return None


def _find_text_flaw(value: object) -> str | None:
    if isinstance(value, str) and value:
        return None
    return f"{value!r:.60} where a text that is not empty is wanted"


def _find_slot_flaw(value: object) -> str | None:
    return None if value in SLOTS else f"{value!r:.60} where one of {', '.join(SLOTS)} is wanted"


def _find_function_flaw(value: object) -> str | None:
    return None if callable(value) else f"{value!r:.60} where a function is wanted"


def _find_schema_flaw(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return f"{value!r:.60} where a JSON Schema is wanted"
    if not value:
        return None
    from jsonschema import Draft202012Validator, SchemaError  # slow to import

    try:
        Draft202012Validator.check_schema(dict(value))
    except SchemaError as error:
        return f"no JSON Schema: {json_pointer(error.absolute_path)}: {error.message}"
    return None


_FLAW_FINDERS: Mapping[str, Callable[[Any], str | None]] = {
    **dict.fromkeys(("token_kind", "name"), _find_text_flaw),
    "slot": _find_slot_flaw,
    **dict.fromkeys(("build", "train", "train_pieces", "tensors"), _find_function_flaw),
    **dict.fromkeys(("recognises", "read"), _find_function_flaw),
    **dict.fromkeys(("options", "train_options"), _find_schema_flaw),
    "default": lambda _: None,
}


def check_result(factory: object, function: str, made: Any) -> Any:
    """Give what a function of a factory has made, as mypt uses it.

    Args:
        factory: The factory.
        function: Its field; `judge` for the guard that a factory has built.
        made: What came back.

    Raises:
        TypeError: It is something else than the contract of the factory says.
    """
    accept = _RESULT_CHECKS.get((type(factory), function))
    return made if accept is None else accept(made)


def _require_instance(wanted: type[Any], made: object) -> Any:
    if not isinstance(made, wanted):
        raise TypeError(_describe_result(made, f"where a {wanted.__name__} is wanted"))
    return made


def _require_module(made: object) -> object:
    from torch import nn

    return _require_instance(nn.Module, made)


def _require_function(made: object) -> object:
    if not callable(made):
        raise TypeError(_describe_result(made, "where a function is wanted"))
    return made


def _require_protocol(protocol: type, made: object) -> object:
    """Refuse what lacks any of the names of a protocol; only its own tests know what they do."""
    wanted = [name for name in vars(protocol) if not name.startswith("_")]
    missing = [f"`{name}`" for name in wanted if not hasattr(made, name)]
    if missing:
        raise TypeError(_describe_result(made, f"without {', '.join(missing)}"))
    return made


def _convert_shapes(tensors: Any) -> dict[str, tuple[int, ...]]:
    return {str(name): tuple(map(int, shape)) for name, shape in tensors.items()}


def _describe_result(made: object, fault: str) -> str:
    return f"it gives a {type(made).__name__} {fault}"


_RESULT_CHECKS: Mapping[tuple[type, str], Callable[[Any], Any]] = {
    (PartFactory, "build"): _require_module,
    (PartFactory, "tensors"): _convert_shapes,
    (TokenizerFactory, "build"): partial(_require_protocol, Tokenizer),
    (TokenizerFactory, "train"): partial(_require_protocol, Tokenizer),
    (TokenizerFactory, "train_pieces"): partial(_require_protocol, Tokenizer),
    (GuardFactory, "build"): _require_function,
    (GuardFactory, "judge"): partial(_require_instance, Verdict),
    (SinkFactory, "build"): lambda made: made if made is None else _require_protocol(LogSink, made),
    (ReaderFactory, "read"): partial(_require_instance, Checkpoint),
}
