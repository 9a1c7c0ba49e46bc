"""Read checkpoints that are not bundles: find the reader, migrate, and check what comes out."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.bundle.examine import examine
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import expected_tensors, trainable_shapes
from mypt.format.migrations import upgrade
from mypt.format.optimizers.declaration import ParameterInfo
from mypt.format.optimizers.indices import holds_indices
from mypt.format.readers import mypt_folder
from mypt.format.readers.options import check_options
from mypt.format.readers.result import as_infos, as_tensors
from mypt.format.readers.sharded import reader as sharded
from mypt.format.readers.shared.optimizer import SURPRISES, try_optimizer
from mypt.format.readers.shared.vocabulary import NO_TOKENIZER, TOKENIZER_OPTION
from mypt.format.rules.cross_file import tokenizer_problems
from mypt.format.rules.documents import document_problems
from mypt.format.rules.optimizers.doubts import doubt_problems
from mypt.format.rules.optimizers.indexed import convert_indexed, possible_rules
from mypt.format.rules.optimizers.state import optimizer_problems
from mypt.format.rules.plugin_settings import NO_SETTINGS, find_declaration
from mypt.format.rules.tensors import MISMATCH, Model, tensor_problems
from mypt.format.schema import strict_json
from mypt.format.storage import files
from mypt.format.tensors import weights_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import FileForm, Load, ReaderFactory
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.schema.check import Kind
    from mypt.format.storage.files import MappedFiles


def find_reader(path: Path, readers: Iterable[ReaderFactory]) -> ReaderFactory | None:
    """Find the reader that recognises the content of a file or folder.

    The readers of mypt come first. One that knows no more than the kind of file leaves it to the
    reader of a plugin that recognises it as well.
    """
    found = next((reader for reader in readers if reader.recognises(path)), None)
    if found is None or not found.defers(path):
        return found
    others = (r for r in readers if r.name != found.name and r.offered_by and r.recognises(path))
    return next(others, found)


def describe(
    path: Path,
    reader: ReaderFactory,
    layouts: Layouts,
    options: Mapping[str, Any],
    settings: Settings = NO_SETTINGS,
    *,
    checksums: bool = False,
) -> Checkpoint:
    """Read a checkpoint in the terms of format 2.0, with descriptions in the place of tensors.

    With a reader that takes descriptions, this needs no torch and reads no weights. A training
    state or an optimizer state that is damaged, or is that of another model, is left out and named
    among the checkpoint's `flaws`.

    Args:
        path: A file or a folder.
        reader: The reader that recognises it.
        layouts: The architecture parts known.
        options: What the reader has to be told.
        settings: What plugins say of their settings.
        checksums: Whether to compare files of weights with their own checksums, however large.

    Raises:
        FormatError: It is damaged or incomplete, or says something that format 2.0 cannot.
        UsageError: The reader does not know an option, or not with that value.
    """
    check_options(options, reader, str(path))
    flaws: list[Problem] = []
    if reader.read is mypt_folder.read:  # what a bundle of version 1 must be is known exactly
        flaws = _folder_flaws(path, layouts, settings)
    try:
        found = as_infos(reader.read(path, _choose_loader(reader, checksums=checksums), options))
        flaws = flaws or list(found.flaws)
        if flaws:
            found = _without_training(found, flaws)
        # The weights first: an optimizer state that does not fit is often but a consequence.
        bare = upgrade(evolve(found, optimizer=None))
        folder = path if found.version == "1" else None
        found_wrong = _find_problems(bare, str(path), folder, layouts, reader)
        errors = [problem for problem in found_wrong if problem.severity == "error"]
        if errors:
            raise FormatError(*(_name_plugin(error, reader, path) for error in errors))
    except SURPRISES as error:
        raise _make_surprise_error(path, reader, error) from error
    if flaws or found.optimizer is None:
        return evolve(bare, flaws=tuple(flaws))
    whole, damage = try_optimizer(
        lambda: _with_optimizer(found, path, layouts, settings), str(path)
    )
    if whole is not None:
        return whole
    # a migration knows the optimizer's file by the name that it had in version 1
    place = str(path / files.OPTIMIZER) if found.version == "1" else str(path)
    named = [evolve(p, file=place) if p.file == files.OPTIMIZER else p for p in damage]
    return evolve(bare, flaws=tuple(named))


def make_load(mapped: MappedFiles | None = None) -> Load:
    """Return what opens files of weights with their tensors; see `Load`.

    Args:
        mapped: Where they are mapped; by default somewhere of its own.
    """

    def load(path: Path, form: FileForm | None = None) -> Any:
        opens = weights_file.load_weights if form is None else form.load
        return opens(path, str(path), mapped)

    return load


def _choose_loader(reader: ReaderFactory, *, checksums: bool) -> Load:
    """Return what opens files of weights where nobody needs more than descriptions."""
    if not reader.takes_infos:
        check = weights_file.load_checked_weights if checksums else weights_file.load_weights

        def load(path: Path, form: FileForm | None = None) -> Any:
            return check(path, str(path)) if form is None else form.load(path, str(path), None)

        return load
    wanted = weights_file.describe_weights
    wanted = weights_file.describe_checked_weights if checksums else wanted

    def describe(path: Path, form: FileForm | None = None) -> Any:
        return (wanted if form is None else form.describe)(path, str(path))

    return describe


def _folder_flaws(path: Path, layouts: Layouts, settings: Settings) -> list[Problem]:
    """Return the flaws of a bundle of version 1.

    Raises:
        FormatError: With all that keeps it from being opened for inference.
    """
    seen = examine(path, layouts, settings)
    flaws = seen.flaws
    faults = [p for p in seen.problems if p.severity == "error" and p not in flaws]
    if faults:
        raise FormatError(*faults)
    return flaws


def _without_training(found: Checkpoint, flaws: Iterable[Problem]) -> Checkpoint:
    """Leave the optimizer out, and the training state where it is at fault itself."""
    is_state = any(PurePath(flaw.file).name == files.TRAINING_STATE for flaw in flaws)
    return evolve(found, optimizer=None, training_state=None if is_state else found.training_state)


def _with_optimizer(
    found: Checkpoint, path: Path, layouts: Layouts, settings: Settings
) -> Checkpoint:
    """Upgrade a checkpoint with its optimizer state.

    Raises:
        FormatError: The state is not one of its optimizer, or not that of the weights.
    """
    file = str(path)
    whole = _name_parameters(upgrade(found), file, layouts)
    parameters, state = _list_parameters(whole, layouts), whole.training_state
    declaration = find_declaration(whole.optimizer, settings)
    problems = optimizer_problems(whole.optimizer, parameters, declaration, file)
    if problems:
        raise FormatError(*problems)
    doubts = []
    if state is not None:
        doubts = doubt_problems(whole.optimizer or {}, parameters, declaration, state, file)
    return evolve(whole, report=(*whole.report, *map(str, doubts)))


def _name_parameters(whole: Checkpoint, file: str, layouts: Layouts) -> Checkpoint:
    """Return a checkpoint of this version with the optimizer state by the names of parameters.

    A reader of a plugin may return one of AdamW with indices, as torch has it.

    Raises:
        FormatError: It is not one of AdamW, or not that of the weights.
    """
    if not holds_indices(whole.optimizer):
        return whole
    shapes = {name: info.shape for name, info in _list_parameters(whole, layouts).items()}
    rules = possible_rules(whole.training_state)
    named, problems = convert_indexed(whole.optimizer, shapes, rules, file)
    if problems:
        raise FormatError(*problems)
    return evolve(whole, optimizer=named)


def _list_parameters(whole: Checkpoint, layouts: Layouts) -> dict[str, ParameterInfo]:
    config = from_document(GPTConfig, whole.config)
    tensors = expected_tensors(config, layouts)
    return {
        name: ParameterInfo(name, shape, str(whole.tensors[name].dtype).removeprefix("torch."))
        for name, shape in trainable_shapes(tensors, tied=config.tie_weights).items()
    }


def _make_surprise_error(path: Path, reader: ReaderFactory, error: Exception) -> FormatError:
    reason = f"({type(error).__name__}: {error})"
    if reader.offered_by:
        what = f"its reader {reader.name} returned what cannot be used for {path} {reason}"
        return FormatError(Problem("", reader.offered_by, what, "update it", kind="plugin.reader"))
    what = f"is not as the reader {reader.name} knows it {reason}"
    fix = "restore it from a copy"
    return FormatError(Problem(str(path), "", what, fix, kind="reader.surprised"))


def _name_plugin(problem: Problem, reader: ReaderFactory, path: Path) -> Problem:
    """Return a problem with a checkpoint; if a plugin read it, either of the two may be at fault.

    A config that does not fit the tensors which came with it is the fault of the plugin.

    Args:
        problem: What is wrong with the documents or the tensors that the reader returned.
        reader: The reader.
        path: The checkpoint.
    """
    if not reader.offered_by:
        return problem
    if problem.kind == MISMATCH:
        what = (
            f"its reader {reader.name} returned a config for {path} that does not fit the tensors"
        )
        what += f" which it returned: {problem.where} {problem.what}"
        fix = "report it to the author of the plugin"
        return Problem("", reader.offered_by, what, fix, kind="plugin.reader")
    what = f"{problem.what}, as the reader {reader.name} of the {reader.offered_by} reads it"
    return evolve(problem, what=what, fix="restore the file, or update that plugin")


def read_whole(
    path: Path,
    reader: ReaderFactory,
    options: Mapping[str, Any],
    described: Checkpoint,
    layouts: Layouts,
    mapped: MappedFiles | None = None,
    *,
    defer: bool = False,
) -> Checkpoint:
    """Read a checkpoint, tensors and all.

    A vocabulary is not read a second time, where the reader can do without.

    Args:
        path: A file or a folder.
        reader: The reader that recognises it.
        options: What the reader has to be told.
        described: What `describe` has returned of it.
        layouts: The architecture parts known.
        mapped: Where files of weights are mapped; by default somewhere of its own.
        defer: Whether a tensor that its reader defers stays so, and takes no memory.

    Raises:
        FormatError: A file of weights is not what its checksum says, or one was changed meanwhile.
        FormatError: What only training needs was described, and cannot be read any more.
    """
    takes_none = reader.options.get("properties", {}).get("tokenizer") == TOKENIZER_OPTION
    options = {**options, "tokenizer": NO_TOKENIZER} if takes_none else options
    try:
        found = reader.read(path, make_load(mapped), options)
        found = found if defer and reader.read is sharded.read else as_tensors(found)
        if described.flaws:
            found = _without_training(found, described.flaws)
        elif found.flaws:  # what was whole before cannot be read now
            raise FormatError(*found.flaws)
        whole = _name_parameters(upgrade(found), str(path), layouts)
        return evolve(whole, tokenizer=described.tokenizer) if takes_none else whole
    except SURPRISES as error:
        raise _make_surprise_error(path, reader, error) from error


def _find_problems(
    checkpoint: Checkpoint,
    file: str,
    folder: Path | None,
    layouts: Layouts,
    reader: ReaderFactory,
) -> list[Problem]:
    """Find what is wrong; of a folder of version 1 its documents are named, which say it."""
    documents: dict[Kind, Mapping[str, Any] | None] = {
        "config": checkpoint.config,
        "tokenizer": checkpoint.tokenizer,
        "training_state": checkpoint.training_state,
    }
    problems = [
        problem
        for kind, document in documents.items()
        if document is not None
        for problem in (
            *_find_json_problems(kind, document, file),
            *document_problems(
                kind, document, str(folder / f"{kind}.json") if folder else file, layouts
            ),
        )
    ]
    if any(problem.severity == "error" for problem in problems):
        return problems
    config = from_document(GPTConfig, checkpoint.config)
    if checkpoint.tokenizer is not None:
        problems += tokenizer_problems(checkpoint.tokenizer, config.vocab_size, file)
    is_returned = bool(reader.offered_by)
    model = Model(config, checkpoint.tensors, layouts, file, file, is_returned=is_returned)
    return problems + tensor_problems(model)


def _find_json_problems(kind: Kind, document: Mapping[str, Any], file: str) -> list[Problem]:
    """Find what a pickle can hold and a JSON document cannot, such as a tensor or NaN."""
    try:
        strict_json.parse(strict_json.dump(document), file)
    except (FormatError, TypeError, ValueError) as error:
        reason = error.problems[0].what if isinstance(error, FormatError) else str(error)
        what, fix = f"cannot be written as JSON: {reason}", "restore it from a copy"
        return [Problem(file, f"the {kind}", what, fix, kind="reader.surprised")]
    return []
