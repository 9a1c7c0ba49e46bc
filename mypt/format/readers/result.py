"""What a reader returns: held to its contract, and with tensors in the form that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.layout import EMBEDDING, HEAD
from mypt.format.migrations import STEPS
from mypt.format.schema.check import check_document
from mypt.format.tensors import values
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from mypt.format.schema.check import Kind

_VERSIONS = (*(step.source for step in STEPS), FORMAT_VERSION)
_TIED = frozenset({EMBEDDING, HEAD})


def check_checkpoint(found: object) -> Checkpoint:
    """Return what the reader of a plugin returned, completed with what follows from it.

    Documents of the current version get its number, and a tied head gets its tensor.

    Raises:
        TypeError: It is no `Checkpoint`, or a field or a tensor of it is of another type.
        ValueError: A document is not valid.
    """
    if not isinstance(found, Checkpoint):
        message = f"it returns {type(found).__name__}, not Checkpoint"
        raise TypeError(message)
    if found.version not in _VERSIONS:
        known = ", ".join(_VERSIONS)
        message = f"the version of its Checkpoint is {found.version!r:.60}, not one of {known}"
        raise ValueError(message)
    tensors = _check_tensors(found.tensors)
    config = _check_fields("config", found.config, found.version)
    if config.get("tie_weights") and EMBEDDING in tensors:
        tensors.setdefault(HEAD, tensors[EMBEDDING])
    values.convert_nested(found.optimizer, values.describe)  # raises if one cannot be held
    tokenizer, state = found.tokenizer, found.training_state
    return evolve(
        found,
        config=config,
        tokenizer=tokenizer and _check_fields("tokenizer", tokenizer, found.version),
        training_state=state and _check_fields("training_state", state, found.version),
        tensors=tensors,
        report=_check_lines("report", found.report),
        remarks=_check_lines("remarks", found.remarks),
    )


def as_infos(found: Checkpoint) -> Checkpoint:
    """Return a checkpoint with a `TensorInfo` in place of each tensor."""
    return evolve(
        found,
        tensors=values.describe_all(found.tensors),
        optimizer=values.convert_nested(found.optimizer, values.describe),
    )


def as_tensors(found: Checkpoint) -> Checkpoint:
    """Return a checkpoint with torch tensors, each in memory of its own but for a tied head.

    Those of the optimizer have their values in order, which torch's fused AdamW takes for granted.
    """
    return evolve(
        found,
        tensors=values.to_tensors(values.fetch_all(found.tensors), _TIED),
        optimizer=values.convert_nested(
            found.optimizer, lambda value: values.to_tensor(value).contiguous()
        ),
    )


def _check_fields(kind: Kind, document: object, version: str) -> dict[str, Any]:
    """Return a document with the number of its version, and numbers of Python."""
    if not isinstance(document, Mapping):
        message = f"the {kind} of its Checkpoint is a {type(document).__name__}, not a dict"
        raise TypeError(message)
    fields: dict[str, Any] = values.to_plain(document)
    if version == FORMAT_VERSION:
        fields = {"format_version": FORMAT_VERSION, **fields}
    errors = [p for p in check_document(kind, fields, "") if p.severity == "error"]
    if errors:
        said = "; ".join(f"{p.where or '/'} {p.what}" for p in errors[:3])
        message = f"the {kind} of its Checkpoint is not valid: {said}"
        raise ValueError(message)
    return fields


def _check_tensors(tensors: object) -> dict[str, Any]:
    if not isinstance(tensors, Mapping):
        message = f"the tensors of its Checkpoint are a {type(tensors).__name__}, not a dict"
        raise TypeError(message)
    for name, value in tensors.items():
        if not isinstance(name, str):
            message = f"the name {name!r:.60} of a tensor of its Checkpoint is not a string"
            raise TypeError(message)
        try:
            values.describe(value)
        except TypeError as error:
            message = f"the tensor {name!r:.60} of its Checkpoint {error}"
            raise TypeError(message) from error
    return dict(tensors)


def _check_lines(name: str, lines: object) -> tuple[str, ...]:
    if isinstance(lines, (list, tuple)) and all(isinstance(line, str) for line in lines):
        return tuple(lines)
    message = f"the {name} of its Checkpoint is {lines!r:.60}, not a tuple of lines"
    raise TypeError(message)
