"""`python -m mypt.format migrate`: convert whatever a reader can open to a bundle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve, field, frozen

from mypt.format.bundle.copy_name import parse_copy_name
from mypt.format.bundle.detect import classify
from mypt.format.bundle.read import read_bundle
from mypt.format.bundle.write import bundle_files, save_bundle
from mypt.format.discover import find_checkpoints
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import (
    from_document,
    from_optional_document,
    to_recorded_document,
)
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import TrainingState
from mypt.format.errors import FormatError, MyptError, Problem, log_traceback
from mypt.format.layout import BUILT_IN, EMBEDDING, HEAD
from mypt.format.open import share_among
from mypt.format.readers.mypt_file import find_file, is_legacy_name
from mypt.format.readers.read import describe, find_reader, read_whole
from mypt.format.readers.unread.unknown import explain_unknown
from mypt.format.rules.plugin_settings import NO_SETTINGS, TOKEN_KIND
from mypt.format.rules.requirements import REQUIRES, find_requirements, merge_needs
from mypt.format.rules.tensors import check_tied
from mypt.format.schema.check import load_schema
from mypt.format.shards.places import holds_shards, model_path
from mypt.format.storage import files
from mypt.format.storage.commit import content_digest, finish_interrupted_commit, open_for_writing
from mypt.format.storage.files import MappedFiles, ensure_basename
from mypt.format.storage.generations import read_manifest
from mypt.format.tensors.info import DeferredTensor
from mypt.format.tensors.pt_file import load_tensors
from mypt.format.tensors.transforms import have_equal_bits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import ReaderFactory
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.rules.requirements import Requirements
    from mypt.format.schema.check import Kind
    from mypt.format.storage.commit import Content

Result = Literal["migrated", "would migrate", "there already", "failed"]


@frozen(kw_only=True)
class Migrator:
    """Migrates checkpoints to bundles of format 2.0.

    Attributes:
        readers: The available readers.
        written_by: Program and version, for the manifest.
        layouts: The known architecture parts.
        settings: What plugins say of their settings, and so of which package each thing is.
        version_of: Returns the version of a package whose plugins are available; otherwise None.
        options: Options of readers, such as a training text.
        dry_run: Whether to only report.
        no_lock: Whether to write also where the file system has no locks.
    """

    readers: tuple[ReaderFactory, ...]
    written_by: str
    layouts: Layouts = BUILT_IN
    settings: Settings = NO_SETTINGS
    version_of: Callable[[str], str | None] = lambda _: None
    options: Mapping[str, Any] = field(factory=dict)
    dry_run: bool = False
    no_lock: bool = False

    def recognises(self, path: Path) -> bool:
        """Return whether there is something to migrate."""
        return classify(path) != "bundle" and find_reader(path, self.readers) is not None

    def migrate(self, source: Path, output: Path | None = None) -> Report:
        """Write a checkpoint as a bundle of format 2.0; the source is not touched.

        What was written is read back and compared before it is committed. Migrating again finds
        the existing bundle and changes nothing.

        Args:
            source: A file or folder that a reader recognises, or a bundle.
            output: Folder of the bundle; by default `default_output(source)`.

        Raises:
            FormatError: No reader recognises it, it is damaged, or the output holds another bundle.
            SaveError: It could not be written; nothing was changed.
        """
        if classify(source) == "bundle":
            read_bundle(
                source, self.layouts, self.settings, without_model=True
            )  # raises if it is damaged
            return self._report_existing(source, source)
        reader = find_reader(source, self.readers)
        if reader is None:
            if classify(source) != "other":
                read_bundle(
                    source, self.layouts, self.settings
                )  # raises with what is wrong with it
            what, fix = "is not a checkpoint that mypt can read", "name a checkpoint, or use --all"
            unknown = FormatError(Problem(str(source), "", what, fix, kind="checkpoint.unknown"))
            raise explain_unknown(source) or unknown
        model = _find_copied(source) if output is None else None
        output = default_output(source) if output is None else output
        described = describe(source, reader, self.layouts, self.options)
        if described.flaws:  # nothing that a checkpoint contains is left behind
            raise FormatError(*described.flaws)
        lines = _make_report_lines(described, reader)
        if self.dry_run:
            return Report(source=source, output=output, result="would migrate", lines=lines)
        whole = _store_tied_once(
            read_whole(source, reader, self.options, described, self.layouts, defer=True), source
        )
        if model is not None and whole.training_state is not None:
            state = {**whole.training_state, "copy_of": default_output(model).name}
            whole = evolve(whole, training_state=state)
        requirements = self._find_requirements(whole)
        if _holds_checkpoint(output, whole, requirements):
            return self._report_existing(source, output, lines)
        lines += self._write_bundle(output, whole, requirements)
        return Report(source=source, output=output, result="migrated", lines=lines)

    def migrate_all(self, root: Path) -> Iterator[Report]:
        """Migrate every checkpoint of a tree, continuing if one fails.

        Yields:
            A report on each.

        Raises:
            UsageError: No reader of what is there has one of the options.
        """
        sources = [s for s in find_checkpoints(root, self.readers) if self._is_source(s)]
        for source, own in zip(
            sources, share_among(sources, self.readers, self.options), strict=True
        ):
            try:
                yield evolve(self, options=own).migrate(source)
            except MyptError as error:
                log_traceback(error)
                yield _make_failure(source, error.problems)
            except OSError as error:
                yield _make_failure(source, [files.unreadable_problem(error, str(source))])

    def _is_source(self, path: Path) -> bool:
        """Return whether something of a tree is to be migrated, or cannot be and has to be told."""
        try:
            if classify(path) == "bundle":
                return False
            return self.recognises(path) or explain_unknown(path) is not None
        except OSError:
            return True

    def _report_existing(self, source: Path, output: Path, lines: tuple[str, ...] = ()) -> Report:
        if not self.dry_run:
            finish_interrupted_commit(output, no_lock=self.no_lock)
        return Report(source=source, output=output, result="there already", lines=lines)

    def _find_requirements(self, checkpoint: Checkpoint) -> Requirements:
        """Return the plugins that the bundle of a checkpoint requires."""
        state = from_optional_document(TrainingState, checkpoint.training_state)
        kind = None if checkpoint.tokenizer is None else checkpoint.tokenizer[TOKEN_KIND]
        requires: dict[Kind, Any] = {
            "config": checkpoint.config.get(REQUIRES, ()),
            "tokenizer": (checkpoint.tokenizer or {}).get(REQUIRES, ()),
            "training_state": (checkpoint.training_state or {}).get(REQUIRES, ()),
        }
        return find_requirements(
            from_document(GPTConfig, checkpoint.config),
            kind if (TOKEN_KIND, kind) in self.settings else None,
            None if state is None else state.training_config,
            layouts=self.layouts,
            settings=self.settings,
            version_of=self.version_of,
            before=merge_needs({}, requires),
        )

    def _write_bundle(
        self, output: Path, checkpoint: Checkpoint, requirements: Requirements
    ) -> tuple[str, ...]:
        """Write a bundle, and return lines on how that went."""
        with open_for_writing(output, no_lock=self.no_lock) as writer:
            _check_nothing_overwritten(output)
            save_bundle(
                writer,
                config=from_document(GPTConfig, checkpoint.config),
                tokenizer=from_optional_document(TokenizerState, checkpoint.tokenizer),
                training_state=from_optional_document(TrainingState, checkpoint.training_state),
                weights=checkpoint.tensors,
                optimizer=checkpoint.optimizer,
                written_by=self.written_by,
                requirements=requirements,
                check=lambda paths: _verify_files(paths, checkpoint),
            )
        return () if writer.warning is None else (f"warning: {writer.warning}",)


@frozen(kw_only=True)
class Report:
    """The outcome for one checkpoint.

    Attributes:
        source: The checkpoint that was read.
        output: Folder of the bundle.
        result: What was done.
        lines: What was mapped, defaulted and left out; for a failure, the reasons.
    """

    source: Path
    output: Path
    result: Result
    lines: tuple[str, ...] = ()


def _make_failure(source: Path, problems: Iterable[Problem]) -> Report:
    lines = tuple(map(str, problems))
    return Report(source=source, output=default_output(source), result="failed", lines=lines)


def default_output(source: Path) -> Path:
    """Return the folder of the bundle for a checkpoint.

    `dante/latest.pt` becomes a bundle in `dante/`, beside the file, where mypt looks for it; any
    other file becomes one in a folder of its name, and a folder becomes one beside it: `dante_v2`,
    and its copy `dante_v2_gold`, where a run that goes on with `dante_v2` looks for it. The sharded
    saves `dante_shards` become the bundle `dante` that their run would have written.
    """
    source = ensure_basename(source)
    if holds_shards(source):
        return model_path(source)
    file = find_file(source)
    if file is not None and is_legacy_name(file):
        folder = file.parent
        if classify(folder) == "bundle" or not files.is_present(folder / files.CONFIG):
            return folder
    model = _find_copied(source)
    if model is not None:
        return source.with_name(default_output(model).name + source.name.removeprefix(model.name))
    return source.with_name(source.stem) if source.suffix else files.beside(source, "{}_v2")


def _find_copied(source: Path) -> Path | None:
    """Return the model of which a folder of MyPT's is the gold or half-precision copy, if it is.

    MyPT says so by the names alone, of folders beside each other.
    """
    name = parse_copy_name(source.name)
    if (
        name is None
        or name.step is not None
        or not files.is_regular_file(source / files.TRAINING_STATE)
    ):
        return None
    model = source.with_name(name.model)
    return model if classify(source) == classify(model) == "version_1" else None


def _store_tied_once(checkpoint: Checkpoint, source: Path) -> Checkpoint:
    """Store a tied matrix once; some programs stored it twice.

    Raises:
        FormatError: The two differ.
    """
    tensors = dict(checkpoint.tensors)
    if checkpoint.config.get("tie_weights"):
        check_tied(tensors, str(source))
        tensors[HEAD] = tensors[EMBEDDING]
    return evolve(checkpoint, tensors=tensors)


def _make_contents(checkpoint: Checkpoint, requirements: Requirements) -> dict[str, Content]:
    return bundle_files(
        from_document(GPTConfig, checkpoint.config),
        from_optional_document(TokenizerState, checkpoint.tokenizer),
        from_optional_document(TrainingState, checkpoint.training_state),
        checkpoint.tensors,
        checkpoint.optimizer,
        requirements=requirements,
    )


def _verify_files(paths: Mapping[str, Path], checkpoint: Checkpoint) -> None:
    """Raise if the files just written do not read back as the checkpoint."""
    expected = {files.MODEL: dict(checkpoint.tensors), files.OPTIMIZER: checkpoint.optimizer}
    for name, value in expected.items():
        mapped = MappedFiles()
        if name in paths and not _are_equal(
            load_tensors(paths[name], str(paths[name]), mapped), value, mapped
        ):
            what, fix = "does not read back as it was written", "check the disk and the memory"
            raise FormatError(Problem(str(paths[name]), "", what, fix, kind="migrate.verify"))


def _are_equal(one: Any, other: Any, mapped: MappedFiles) -> bool:
    """Return whether what was read back is what was written.

    Args:
        one: What was read back.
        other: What was written.
        mapped: The files that `one` is mapped to, whose memory is given back on the way.
    """
    import torch

    if isinstance(one, torch.Tensor):
        other = other.fetch() if isinstance(other, DeferredTensor) else other
        is_equal = isinstance(other, torch.Tensor) and have_equal_bits(one, other)
        mapped.release()
        return is_equal
    if isinstance(one, dict):
        same_keys = isinstance(other, dict) and list(one) == list(other)
        return same_keys and all(_are_equal(one[key], other[key], mapped) for key in one)
    if isinstance(one, (list, tuple)):
        same_length = isinstance(other, (list, tuple)) and len(one) == len(other)
        pairs = zip(one, other, strict=True) if same_length else ()
        return same_length and all(_are_equal(*pair, mapped) for pair in pairs)
    return bool(one == other or (one != one and other != other))


def _holds_checkpoint(output: Path, checkpoint: Checkpoint, requirements: Requirements) -> bool:
    """Return whether the output already holds this checkpoint, byte for byte."""
    if not files.is_present(output / files.MANIFEST):
        return False
    manifest = read_manifest(output)
    found = {} if manifest is None else {n: r.sha256 for n, r in manifest.files.items()}
    contents = _make_contents(checkpoint, requirements)
    return found == {name: content_digest(content) for name, content in contents.items()}


def _check_nothing_overwritten(output: Path) -> None:
    if any(files.is_present(output / name) for name in (*files.BUNDLE_FILES, files.MANIFEST)):
        what, fix = "holds another checkpoint", "name another folder with --output"
        raise FormatError(Problem(str(output), "", what, fix, kind="migrate.output"))


def _make_report_lines(checkpoint: Checkpoint, reader: ReaderFactory) -> tuple[str, ...]:
    """Return lines on what was mapped, kept, defaulted and left out."""
    given = checkpoint.config
    read = from_document(GPTConfig, given)
    config = to_recorded_document(read, versioned=False)
    older = load_schema("config", 1)["properties"]  # a later field means by default what was so
    missing = [name for name in config if name in older and name not in given]
    defaulted = [f"{name}={json.dumps(config[name])}" for name in missing]
    lines = [f"format: {reader.name}", *checkpoint.report, *checkpoint.remarks]
    lines.append(f"{len(checkpoint.tensors)} tensors")
    if defaulted:
        lines.append(f"config.json, by default: {', '.join(defaulted)}")
    if read.absent:
        lines.append(f"config.json, not recorded: {', '.join(sorted(read.absent))}")
    if checkpoint.tokenizer is None:
        lines.append("no tokenizer: the model takes bare ids")
    if checkpoint.training_state is None:
        lines.append("no training state: for inference only")
    lines.append("optimizer state: " + ("none" if checkpoint.optimizer is None else "migrated"))
    return tuple(lines)
