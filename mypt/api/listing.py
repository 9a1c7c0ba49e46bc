"""List the checkpoints of a folder, by their headers."""

from __future__ import annotations

import stat
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.api.argument_rules import PLUGINS
from mypt.api.copy_relations import Member, find_relations
from mypt.api.summary import summarize_checkpoint
from mypt.engine.config.folders import CHECKPOINTS
from mypt.format.bundle.copy_name import parse_copy_name
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.discover import EntryKind, walk
from mypt.format.errors import FormatError, MyptError, Problem, UsageError
from mypt.format.open import open_checkpoint, recognise
from mypt.format.readers import mypt_folder
from mypt.format.readers.options import UNSAID
from mypt.format.readers.shared.vocabulary import NO_TOKENIZER
from mypt.format.rules.arguments import PATH, checked
from mypt.format.rules.plugin_settings import NEEDS_PLUGIN
from mypt.format.rules.requirements import UNKNOWN
from mypt.format.storage import files
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.api.copy_relations import Relation
    from mypt.format.opened import Opened

NEEDS = "needs"  # begins the problem of what opens with an option, a plugin or a newer mypt
# The figures of what cannot be opened, as `summarize_checkpoint` has them.
_NOTHING: dict[str, Any] = dict.fromkeys(
    (
        *("format", "written_by", "parameters", "step", "best_loss", "best_step"),
        *("size_bytes", "run_id", "copy_of"),
    )
)


@checked(folder=PATH, plugins=PLUGINS)
def list_checkpoints(
    folder: str | Path = str(CHECKPOINTS), *, plugins: Plugins | None = None
) -> list[dict[str, Any]]:
    """List every checkpoint below a folder by its headers, without reading weights.

    Args:
        folder: The folder, or one checkpoint.
        plugins: Where architecture parts and readers are looked up; by default all that are
            installed.

    Returns:
        A JSON object for each, the models that were saved last first, and the copies of a model
        after it. `path`; `name`, its path below the folder; `format` ("2.0", or the name of the
        reader of another one); `written_by`, the program and version that saved it; `parameters`
        (a tied matrix is counted once); `step`; `best_loss` and `best_step` of its gold selection;
        `modified`, when its files were last written, in ISO 8601; `size_bytes`, of its files
        together (both None where the files cannot be seen); `run_id`; `copy_kind` ("gold", "fp16",
        "ema", "step" or "copy" for one that a run made, "link", "same weights" or "same run") and
        `copy_of`, what it is a copy of: a path if that is in the list; `valid`, whether it opens
        for every use but training without an option, a plugin or a newer mypt; and `problem`, the
        reason if it does not, which begins with "needs" if one of these is all that it takes. What
        is not recorded is None.

    Raises:
        UsageError: There is no such folder.
        ConfigError: An argument is of another type.
    """
    root = Path(folder)
    if not (files.is_folder(root) or files.is_regular_file(root)):
        if root == CHECKPOINTS:  # nothing has been trained here
            return []
        what, fix = f"there is no folder `{folder}`", "name one that exists"
        raise UsageError(Problem("", "", what, fix, kind="folder.missing"))
    plugins = load_plugins() if plugins is None else plugins
    rows = [
        _describe(entry.path, root, plugins)
        for entry in walk(root, plugins.readers.values())
        if entry.kind is not EntryKind.FILE
    ]
    relations = find_relations(row.member for row in rows)
    return [_make_object(row, relations.get(row.member.path)) for row in _sort(rows, relations)]


@frozen(kw_only=True)
class _Row:
    """A checkpoint of the list: its figures, and what shows whose copy it is."""

    name: str
    member: Member
    figures: Mapping[str, Any]
    problem: str | None


def _describe(path: Path, root: Path, plugins: Plugins) -> _Row:
    """Describe one checkpoint, whatever state it is in."""
    member, figures, problem = Member(path=path, modified=_find_time(path)), dict(_NOTHING), None
    if path.is_symlink():
        member = evolve(member, target=files.real_path(path))
    try:
        opened, problem = _open(path, plugins)
        figures = summarize_checkpoint(opened, plugins)
        record = opened.manifest.files.get(files.MODEL) if opened.manifest else None
        member = evolve(
            member,
            step=figures["step"],
            copy_of=figures["copy_of"] or _find_model_of_copy(opened),
            run_id=figures["run_id"],
            digest=None if record is None else record.sha256,
        )
    except (MyptError, OSError) as error:
        sizes = [found.st_size for found in _list_stats(path)]
        figures["size_bytes"] = sum(sizes) if sizes else None
        if isinstance(error, OSError):
            problem = files.unreadable_problem(error, "").what
        else:
            problem = _explain(error.problems[0], path)
            reader = recognise(path, plugins.readers.values())[1]
            figures["format"] = None if reader is None else reader.name
    name = path.name if path == root else path.relative_to(root).as_posix()
    return _Row(name=name or str(path), member=member, figures=figures, problem=problem)


@reopen_if_saved
def _open(path: Path, plugins: Plugins) -> tuple[Opened, str | None]:
    """Open a checkpoint; return with it what keeps it from being used as it is.

    What another program's file leaves to be asked for is most often its vocabulary, without which
    its figures are known all the same.
    """
    try:
        opened = open_checkpoint(path, plugins, without_model=True)
    except FormatError as error:
        _, reader = recognise(path, plugins.readers.values())
        asked = {} if reader is None else reader.options.get("properties", {})
        if "tokenizer" not in asked or any(p.kind != UNSAID for p in error.problems):
            raise
        options = {"tokenizer": NO_TOKENIZER}
        opened = open_checkpoint(path, plugins, options, without_model=True)
        return opened, _explain(error.problems[0], path)
    if opened.lacking:
        return opened, _explain(opened.lacking[0], path)
    flaw = next(iter(opened.flaws), None)
    return opened, None if flaw is None else f"{_explain(flaw, path)}; only training needs it"


def _find_model_of_copy(opened: Opened) -> str | None:
    """Return the model beside a folder that MyPT named like a copy of it; it recorded no more."""
    name = parse_copy_name(opened.path.name) if opened.format == mypt_folder.NAME else None
    return name.model if name and files.is_folder(opened.path.with_name(name.model)) else None


def _explain(problem: Problem, path: Path) -> str:
    """Return a problem in short: the file, the field, and what is wrong."""
    file = "" if problem.file in ("", str(path)) else Path(problem.file).name
    place = f"{file}{'#' if file and problem.where.startswith('/') else ' '}{problem.where}"
    what = f"{place.strip()} {problem.what}".strip()
    if problem.kind == UNSAID:
        return f"{NEEDS} an option: {what}"
    if problem.kind == UNKNOWN:
        return f"{NEEDS} a newer mypt: {what}"
    return f"{NEEDS} a plugin: {what}" if problem.kind in NEEDS_PLUGIN else what


def _find_time(path: Path) -> float | None:
    """Return when a checkpoint was saved: when its commit record was written, or its last file.

    None where the file system does not tell.
    """
    try:
        return (path / files.MANIFEST).stat().st_mtime
    except OSError:
        return max((found.st_mtime for found in _list_stats(path)), default=None)


def _list_stats(path: Path) -> list[os.stat_result]:
    """Return what the file system says of the files of a checkpoint, as far as it can be read."""
    stats = []
    with suppress(OSError):
        for file in path.iterdir() if files.is_folder(path) else [path]:
            with suppress(OSError):
                found = file.stat()
                if stat.S_ISREG(found.st_mode):
                    stats.append(found)
    return stats


def _sort(rows: Iterable[_Row], relations: Mapping[Path, Relation]) -> Iterator[_Row]:
    """Yield the models, those that were saved last first, and after each its copies by step."""
    families: dict[Path, list[_Row]] = defaultdict(list)
    for row in rows:
        families[_find_head(row.member.path, relations)].append(row)
    latest = sorted(
        families.items(), key=lambda item: -max(row.member.modified or 0.0 for row in item[1])
    )
    for head, family in latest:
        yield from sorted(
            family, key=lambda row: (row.member.path != head, row.member.step or 0, row.name)
        )


def _find_head(path: Path, relations: Mapping[Path, Relation]) -> Path:
    """Return the original that a path of the list is a copy of, at one or more removes."""
    while path in relations and isinstance(relations[path].of, Path):
        path = Path(relations[path].of)
    return path


def _make_object(row: _Row, relation: Relation | None) -> dict[str, Any]:
    modified = row.member.modified
    return {
        "path": str(row.member.path),
        "name": row.name,
        **row.figures,
        "modified": None if modified is None else _format_time(modified),
        "copy_kind": None if relation is None else relation.kind,
        "copy_of": None if relation is None else str(relation.of),
        "valid": row.problem is None,
        "problem": row.problem,
    }


def _format_time(seconds: float) -> str:
    saved = datetime.fromtimestamp(seconds, UTC)
    return saved.isoformat(timespec="seconds").replace("+00:00", "Z")
