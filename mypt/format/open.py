"""Open a checkpoint of any format, in the terms of the current one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.bundle.base import digest_weights, list_weight_files
from mypt.format.bundle.detect import classify
from mypt.format.bundle.edits import EDITED, summarize_edits
from mypt.format.bundle.plugin_updates import find_package, update_needs
from mypt.format.bundle.read import read_bundle
from mypt.format.discover import find_some
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document, from_optional_document
from mypt.format.documents.manifest import GENERATE, Manifest
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import TrainingState
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import EMBEDDING, HEAD
from mypt.format.opened import Opened
from mypt.format.readers import mypt_folder
from mypt.format.readers.mypt_file import find_file
from mypt.format.readers.options import share_options
from mypt.format.readers.read import describe, find_reader, make_load, read_whole
from mypt.format.readers.sharded import reader as sharded
from mypt.format.readers.unread.programs import UNREAD
from mypt.format.readers.unread.unknown import explain_unknown
from mypt.format.rules.optimizers.kinds import INEXACT
from mypt.format.rules.plugin_settings import NEEDS_PLUGIN
from mypt.format.rules.requirements import (
    LACKING,
    list_version_changes,
    tokenizer_plugin_problems,
)
from mypt.format.rules.tensors import check_tied
from mypt.format.shards.record import open_shards
from mypt.format.storage import files
from mypt.format.storage.files import MappedFiles, is_folder, is_present, is_regular_file
from mypt.format.tensors.values import FetchedValues, convert_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from mypt.format.bundle.detect import Form
    from mypt.format.bundle.read import Bundle
    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.opened import ReadWeights
    from mypt.format.readers.contract import ReaderFactory, Registry
    from mypt.format.tensors.info import DeferredTensor

_MOST_NAMED = 3  # of the checkpoints in a folder that is none itself


def is_model(folder: Path) -> bool:
    """Return whether a folder may hold what MyPT or mypt saved, of any version, damaged or not.

    Any folder with a config.json counts: whoever would write there must be careful.
    """
    is_legacy = is_folder(folder) and find_file(folder) is not None
    return is_legacy or is_present(folder / files.CONFIG) or classify(folder) == "bundle"


def is_checkpoint(path: Path, plugins: Registry) -> bool:
    """Return whether there is something that `open_checkpoint` would try to open."""
    if not is_present(path):
        return False
    return is_model(path) or find_reader(path, plugins.readers.values()) is not None


def open_checkpoint(
    path: Path,
    plugins: Registry,
    options: Mapping[str, Any] | None = None,
    *,
    without_model: bool = False,
) -> Opened:
    """Open a bundle, or whatever a reader recognises.

    Args:
        path: A folder or a file.
        plugins: Where parts and readers are looked up.
        options: What its reader has to be told, such as LoRA's alpha. A bundle takes none.
        without_model: Whether nobody wants more than what a bundle says of itself; it may then
            have parts of plugins that are not here.

    Raises:
        FormatError: It is not a checkpoint, or is damaged.
        PluginError: It has a part of a plugin that is not installed.
        UsageError: Its reader does not know an option, or not with that value; or a bundle has one.
    """
    form, reader = recognise(path, plugins.readers.values())
    if reader is not None:
        opened = _describe_foreign(path, reader, plugins, options or {})
        return _as_own_save(opened, reader, plugins) if reader.read is sharded.read else opened
    if form == "other":
        raise explain_refusal(path, plugins.readers.values())
    share_options(options or {}, [None])  # a bundle has none
    bundle = read_bundle(path, plugins.layouts, plugins.settings, without_model=without_model)
    opened = _describe_bundle(bundle, is_proved=form == "bundle" and not without_model)
    return evolve(opened, plugin_changes=tuple(_find_plugin_changes(opened, plugins)))


def share_among(
    paths: Sequence[Path], readers: Iterable[ReaderFactory], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return for each of several checkpoints those of the options that its reader has.

    Raises:
        UsageError: None of the checkpoints takes one of the options.
    """
    if not options:
        return [{} for _ in paths]
    return share_options(options, [_find_reader_of(path, readers) for path in paths])


def _find_reader_of(path: Path, readers: Iterable[ReaderFactory]) -> ReaderFactory | None:
    try:
        return recognise(path, readers)[1]
    except OSError:  # opening it will report why
        return None


def recognise(path: Path, readers: Iterable[ReaderFactory]) -> tuple[Form, ReaderFactory | None]:
    """Return what a path is as a bundle, and the reader that opens it; None for `read_bundle`.

    Every door asks here, so that all take a path for the same thing.
    """
    form = classify(path)
    return form, None if form == "bundle" else find_reader(path, readers)


def is_part_of_bundle(path: Path) -> bool:
    """Return whether this is one file of a bundle, which no door opens without the others."""
    return path.name in files.BUNDLE_FILES and is_present(path.parent / files.CONFIG)


def explain_refusal(path: Path, readers: Iterable[ReaderFactory] = ()) -> FormatError:
    """Describe a path that is neither a bundle nor what a reader recognises.

    Args:
        path: A file or a folder.
        readers: Readers of other formats, to name the checkpoints inside a folder.
    """
    found = None if is_part_of_bundle(path) else explain_unknown(path)
    if found is not None and found.problems[0].kind != UNREAD:
        return found
    if is_part_of_bundle(path) or (is_regular_file(path) and find_reader(path.parent, readers)):
        what, fix = "is one file of a checkpoint", f"name the folder: {path.parent}"
        return FormatError(Problem(str(path), "", what, fix, kind="checkpoint.unknown"))
    if found is not None:
        return found
    what = "is not a checkpoint that mypt can read"
    fix = "name a folder with config.json and model.pt, or a legacy file"
    if path.is_symlink() and not (is_folder(path) or is_regular_file(path)):
        what = f"is a link to {path.readlink()}, where there is no checkpoint"
        fix = "correct the link, or mount the disk that it leads to"
    elif is_folder(path) and (inside := find_some(path, readers, _MOST_NAMED)):
        what = f"is not a checkpoint but holds some, such as {', '.join(map(str, inside))}"
        fix = f"name one of them; list them all: mypt list {path}"
    return FormatError(Problem(str(path), "", what, fix, kind="checkpoint.unknown"))


def _describe_bundle(bundle: Bundle, *, is_proved: bool = False) -> Opened:
    flaws = [evolve(flaw, severity="warning") for flaw in bundle.flaws]  # as the notes have them
    found = tuple(n for n in bundle.notes if not _is_about_optimizer(n) and n not in flaws)
    return Opened(
        path=bundle.folder,
        format=bundle.format_version,
        config=bundle.config,
        tokenizer=bundle.tokenizer,
        training_state=bundle.training_state,
        sizes=bundle.sizes,
        notes=tuple(map(str, found)),
        found=found,
        edits=tuple(note for note in bundle.notes if note.kind == EDITED),
        weights=_make_weights_reader(bundle.weights, bundle.config, bundle.folder / files.MODEL),
        shapes=bundle.shapes,
        digest=bundle.weights_digest,
        optimizer=bundle.optimizer,
        check=bundle.check_tensors,
        doubts=tuple(list_doubts(bundle)),
        flaws=bundle.flaws,
        lacking=tuple(note for note in found if note.kind in LACKING),
        needs=bundle.needs,
        manifest=bundle.manifest,
        is_proved=is_proved,
    )


def _find_plugin_changes(opened: Opened, plugins: Registry) -> Iterator[Problem]:
    """Yield a problem for each plugin that generates and is not of the version that saved.

    One that is not available is another matter.
    """
    needs = {p: need for p, need in opened.needs.items() if GENERATE in need["needed_for"]}
    here = {
        package: {**need, "version": version}
        for package, need in needs.items()
        if (version := plugins.version_of(package)) is not None
    }
    there = {package: need for package, need in needs.items() if package in here}
    recorded = opened.manifest.plugins if opened.manifest else {}
    names = {find_package(package, plugins.settings): package for package in recorded}
    for package, was, now in list_version_changes(there, here):
        name = names.get(package, package)
        successor = "" if name == package else f"{package} "
        what = f"was saved with the plugin {name} {was}, but {successor}{now} is installed"
        fix = f"install {name} {was}, unless you know that both compute the same"
        yield Problem(str(opened.path), "", what, fix, kind="plugin.version", severity="warning")


def _is_about_optimizer(note: Problem) -> bool:
    """Return whether a note is about the optimizer's file, which matters to a resume alone."""
    return Path(note.file).name == files.OPTIMIZER or note.kind == "state.optimizer"


def list_doubts(bundle: Bundle) -> Iterator[str]:
    """Yield the reasons, as far as the files tell, why a resume may not be exact."""
    yield from summarize_edits(bundle.notes)
    for note in bundle.notes:
        if note.kind in INEXACT:
            yield f"{Path(note.file).name} {note.what}"
    if bundle.training_state is None:
        yield f"there was no {files.TRAINING_STATE}"
    if bundle.format_version == "1":
        yield "it was saved in version 1 of the format"
    elif bundle.manifest is None:
        yield f"there was no {files.MANIFEST}"
    elif bundle.manifest.checksum is None:
        yield f"{files.MANIFEST} has no checksum"


def _describe_foreign(
    path: Path, reader: ReaderFactory, plugins: Registry, options: Mapping[str, Any]
) -> Opened:
    """Describe a foreign checkpoint by its headers; its tensors are read on demand."""
    described = describe(path, reader, plugins.layouts, options, plugins.settings)
    held = list_weight_files(path)

    config = from_document(GPTConfig, described.config)
    file = path / files.MODEL if reader.read is mypt_folder.read else path

    def read_weights(mapped: MappedFiles) -> dict[str, Tensor]:
        found = read_whole(path, reader, options, described, plugins.layouts, mapped)
        return dict(found.tensors)

    def optimizer() -> Mapping[str, Any] | None:
        if described.flaws:
            raise FormatError(*described.flaws)
        return read_whole(path, reader, options, described, plugins.layouts).optimizer

    return Opened(
        path=path,
        format=reader.name,
        config=config,
        tokenizer=from_optional_document(TokenizerState, described.tokenizer),
        training_state=from_optional_document(TrainingState, described.training_state),
        sizes={_name_within(path, file): file.stat().st_size for file in held},
        notes=(*described.report, *described.remarks),
        remarks=described.remarks,
        weights=_make_weights_reader(read_weights, config, file),
        shapes=lambda: {name: info.shape for name, info in described.tensors.items()},
        digest=lambda: digest_weights(path),
        optimizer=optimizer,
        lacking=_find_lacking_tokenizer(described, path, plugins),
        doubts=(f"it was saved by another program ({reader.name})",),
        flaws=described.flaws,
    )


def _as_own_save(opened: Opened, reader: ReaderFactory, plugins: Registry) -> Opened:
    """Complete a sharded save, which mypt itself has written and training goes on from exactly.

    Its tensors are read one after the other, when they are asked for.
    """
    shards = open_shards(opened.path)
    record, place = shards.record, shards.generation.name

    def read_deferred() -> Checkpoint:
        return reader.read(opened.path, make_load(), {})

    def weights(convert: Callable[[Tensor], Tensor] | None = None) -> Mapping[str, Tensor]:
        found = read_deferred().tensors
        if opened.config.tie_weights:
            _check_tied_parts(found, str(opened.path))
        first = {tensor.key: tensor for tensor in found.values()}
        made = {
            key: tensor.fetch() if convert is None else convert(tensor.fetch())
            for key, tensor in first.items()
        }
        return {name: made[tensor.key] for name, tensor in found.items()}

    def optimizer() -> Mapping[str, Any] | None:
        opened.check_flaws()
        found = read_deferred().optimizer
        if found is None:
            return None
        state = {name: FetchedValues(entry) for name, entry in found["state"].items()}
        return {**found, "state": state}

    return evolve(
        opened,
        doubts=(),
        needs=update_needs(record.plugins, plugins.settings),
        manifest=Manifest(
            generation=record.generation,
            files={f"{place}/{name}": found for name, found in record.files.items()},
            written_by=record.written_by,
            plugins=record.plugins,
        ),
        check=partial(shards.check, whole=True),
        weights=weights,
        optimizer=optimizer,
    )


def _check_tied_parts(deferred: Mapping[str, DeferredTensor], file: str) -> None:
    """Raise if head and embedding are stored twice and differ; once is what a tied model saves."""
    both = {name: deferred[name] for name in (EMBEDDING, HEAD) if name in deferred}
    if len({tensor.key for tensor in both.values()}) > 1:
        check_tied({name: tensor.fetch() for name, tensor in both.items()}, file)


def _find_lacking_tokenizer(
    described: Checkpoint, path: Path, plugins: Registry
) -> tuple[Problem, ...]:
    if described.tokenizer is None:
        return ()
    found = tokenizer_plugin_problems(described.tokenizer, str(path), plugins.settings, {})
    return tuple(problem for problem in found if problem.kind in NEEDS_PLUGIN)


def _make_weights_reader(
    read: Callable[[MappedFiles], dict[str, Tensor]], config: GPTConfig, file: Path
) -> ReadWeights:
    def weights(convert: Callable[[Tensor], Tensor] | None = None) -> Mapping[str, Tensor]:
        mapped = MappedFiles()
        found = read(mapped)
        if config.tie_weights:
            check_tied(found, str(file))
        if convert is None:
            return found
        return convert_each(found, convert, mapped)

    return weights


def _name_within(path: Path, file: Path) -> str:
    return file.name if file == path else file.relative_to(path).as_posix()
