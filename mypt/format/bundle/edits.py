"""Edits of a bundle's documents since they were saved: which fields, and what depends on them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import Problem, limit_problems
from mypt.format.schema import strict_json
from mypt.format.schema.messages import format_value, json_pointer
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.format.documents.convert import Document
    from mypt.format.documents.manifest import Manifest
    from mypt.format.errors import Severity

    Path = tuple[str | int, ...]
    Effect = Literal["output", "resume", "run", "nothing"]

# Kinds of problems: a field that was edited, and a document that says the same in another form.
EDITED, REFORMATTED, LINE_ENDS = "manifest.edited", "manifest.reformatted", "manifest.line_ends"
# A longer or deeper document is not recorded, so that a manifest stays readable.
_MOST_BYTES, _MOST_LEVELS = 64 * 1024, 32
_MISSING = object()
_TRAINING = "training_config"
_RECORDS = frozenset({"provenance", "earlier_runs"})  # of what was, from which nothing goes on
# What depends on a field decides how bad it is that it was edited, and what to do.
_ADVICE: dict[Effect, tuple[Severity, str]] = {
    "output": (
        "warning",
        "restore it if that was not meant: the model may now compute something else",
    ),
    "resume": ("warning", "restore it if that was not meant: training would go on from it"),
    "run": (
        "note",
        "no action needed if that was meant: the model computes the same, and the next run goes"
        " by it",
    ),
    "nothing": ("note", "no action needed if that was meant: the model computes the same"),
}


def record_documents(contents: Mapping[str, Any]) -> dict[str, Document]:
    """Return what a manifest records of a bundle's documents, by name, to tell edits from it.

    Args:
        contents: The bytes of the documents, by name; what is not bytes is no document.
    """
    documents = {
        name: strict_json.parse(data, name)
        for name, data in contents.items()
        if isinstance(data, bytes) and len(data) <= _MOST_BYTES
    }
    return {
        name: document
        for name, document in documents.items()
        if not strict_json.is_deeper(document, _MOST_LEVELS)
    }


def edit_problems(
    manifest: Manifest, name: str, document: Document, data: bytes, file: str
) -> list[Problem]:
    """Compare a document with what the manifest says of it.

    Args:
        manifest: Commit record, which lists the document.
        name: Stable name of the document.
        document: Its content.
        data: The bytes that this was parsed from.
        file: Its name, for messages.
    """
    sha256 = manifest.files[name].sha256
    if hashlib.sha256(data).hexdigest() == sha256:
        return []
    if hashlib.sha256(strict_json.with_line_feeds(data)).hexdigest() == sha256:
        what = "has other line ends than it was saved with, and says the same"
        fix = "no action needed; `*.json -text` in .gitattributes keeps git from changing them"
        return [Problem(file, "", what, fix, kind=LINE_ENDS, severity="note")]
    if name not in manifest.documents:
        what = "was edited after the save, and manifest.json does not record what it said"
        return [_make_problem(file, "", what, _effect_of(name, ()))]
    problems = limit_problems(
        _make_problem(file, json_pointer(path), _describe(was, value), _effect_of(name, path))
        for path, was, value in _differences(manifest.documents[name], document)
        if not _mean_the_same(name, path, was, value)
    )
    if problems:
        return problems
    what, fix = "is formatted otherwise than it was saved, and says the same", "no action needed"
    return [Problem(file, "", what, fix, kind=REFORMATTED, severity="note")]


def changes_output(problem: Problem) -> bool:
    """Return whether a problem is an edit that the model's output may depend on."""
    return (
        problem.kind == EDITED
        and problem.severity != "note"
        and PurePath(problem.file).name in (files.CONFIG, files.TOKENIZER)
    )


def summarize_edits(problems: Iterable[Problem]) -> Iterator[str]:
    """Yield a line for each document that was edited, with the first of its fields."""
    places: dict[str, list[str]] = {}
    for problem in problems:
        if problem.kind == EDITED:
            places.setdefault(PurePath(problem.file).name, []).append(problem.where)
    for name, found in places.items():
        first = f" at {found[0]}" if found[0] else ""
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        yield f"{name} was edited after the save{first}{more}"


def _make_problem(file: str, where: str, what: str, effect: Effect) -> Problem:
    severity, fix = _ADVICE[effect]
    return Problem(file, where, what, fix, kind=EDITED, severity=severity)


def _describe(was: object, now: object) -> str:
    if was is _MISSING:
        return f"was added after the save: {format_value(now)}"
    if now is _MISSING:
        return f"was removed after the save: it was {format_value(was)}"
    return f"was edited after the save: {format_value(now)}, was {format_value(was)}"


def _differences(was: Any, now: Any, path: Path = ()) -> Iterator[tuple[Path, object, object]]:
    """Yield the places at which two JSON values differ, with the value of each."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in {**was, **now}:
            yield from _differences(was.get(name, _MISSING), now.get(name, _MISSING), (*path, name))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, pair in enumerate(zip(was, now, strict=True)):
            yield from _differences(*pair, (*path, index))
    elif was != now or isinstance(was, bool) != isinstance(now, bool):
        yield path, was, now


def _mean_the_same(name: str, path: Path, was: object, now: object) -> bool:
    """Return whether a field is missing on one side and has its default on the other.

    What a training state leaves out was not recorded, which is another thing, unless it is null.
    """
    if _MISSING not in (was, now):
        return False
    if name == files.TRAINING_STATE and None not in (was, now):
        return False
    place: Any = _defaults_of(name)
    for part in path:
        if not isinstance(place, dict) or part not in place:
            return False
        place = place[part]
    return bool(place == (now if was is _MISSING else was))


def _effect_of(name: str, path: Path) -> Effect:
    """Return what depends on a field of a document; on the whole of it for an empty path."""
    if not path:
        return "resume" if name == files.TRAINING_STATE else "output"
    field, settings = path[0], {files.CONFIG: GPTConfig.SETTINGS}.get(name, {_TRAINING})
    known = _defaults_of(name)
    if field not in known or (field == _TRAINING and not known[field].keys() >= {*path[1:2]}):
        return "nothing"  # mypt keeps it and does not use it
    if name == files.TRAINING_STATE and field in _RECORDS:
        return "nothing"
    if field in settings:
        return "run"
    return "resume" if name == files.TRAINING_STATE else "output"


@cache
def _defaults_of(name: str) -> dict[str, Any]:
    """Return the fields of a document that mypt uses, with their defaults as JSON values."""
    # Imported for what was edited alone: the usual bundle is validated without them.
    from mypt.format.documents.convert import from_document, to_document
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingState

    defaults: dict[str, Any] = {
        files.CONFIG: from_document(GPTConfig, {}),
        files.TOKENIZER: TokenizerState(token_kind=""),
        files.TRAINING_STATE: TrainingState(step=0),
    }
    return strict_json.parse(strict_json.dump(to_document(defaults[name], versioned=False)), name)
