"""`python -m mypt.format migrate --to 1`: write a folder that the earlier MyPT can open."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

from mypt.format.bundle.read import read_bundle
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.documents.convert import to_recorded_document
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import HEAD, HEAD_BIAS, trainable_shapes
from mypt.format.migrate import Report
from mypt.format.migrations.v2_to_v1 import apply
from mypt.format.optimizers.indices import number_parameters
from mypt.format.rules.plugin_settings import NO_SETTINGS
from mypt.format.schema import strict_json
from mypt.format.storage import files
from mypt.format.storage.commit import content_digest, write_file
from mypt.format.storage.operating_system import sync_folder
from mypt.format.storage.save_errors import raising_save_errors
from mypt.format.tensors.pt_writer import write_tensors
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.bundle.read import Bundle
    from mypt.format.layout import Layouts
    from mypt.format.migrate import Result
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.storage.commit import Content


@reopen_if_saved
def downgrade(
    source: Path,
    output: Path | None,
    layouts: Layouts,
    settings: Settings = NO_SETTINGS,
    *,
    dry_run: bool,
) -> Report:
    """Write a bundle of format 2.0 as a folder of version 1; the source is not touched.

    Args:
        source: The bundle.
        output: Folder to create; by default `<source>_v1`.
        layouts: The known architecture parts.
        settings: What plugins say of their settings.
        dry_run: Whether to only report.

    Raises:
        FormatError: MyPT would compute something else with it, or the output holds something else.
        SaveError: It could not be written; nothing is left behind.
    """
    if output is None:
        output = files.beside(source, "{}_v1")
    bundle = read_bundle(source, layouts, settings)
    bundle.check_flaws()
    described = apply(_make_checkpoint(bundle))
    result: Result = "would migrate" if dry_run else "migrated"
    if files.is_present(output):
        _check_output(output, _make_contents(bundle, described))
        result = "there already"
    elif not dry_run:
        _write_folder(output, _make_contents(bundle, described))
    return Report(source=source, output=output, result=result, lines=described.report)


def _make_checkpoint(bundle: Bundle) -> Checkpoint:
    def document(value: Any) -> dict[str, Any] | None:
        return None if value is None else to_recorded_document(value)

    return Checkpoint(
        version=FORMAT_VERSION,
        config=to_recorded_document(bundle.config),
        tokenizer=document(bundle.tokenizer),
        training_state=document(bundle.training_state),
        optimizer=bundle.optimizer(),
    )


def _check_output(output: Path, contents: Mapping[str, Content]) -> None:
    """Raise if the output is not exactly what would be written."""
    if not all(_has_content(output / name, content) for name, content in contents.items()):
        what, fix = "exists already", "name another folder with --output"
        raise FormatError(Problem(str(output), "", what, fix, kind="migrate.output"))


def _has_content(path: Path, content: Content) -> bool:
    if not files.is_regular_file(path):
        return False
    return files.digest_file(path, str(path)) == content_digest(content)


def _write_folder(output: Path, contents: Mapping[str, Content]) -> None:
    """Write to a temporary folder, which is renamed when everything is on disk.

    A process that dies in between leaves that folder behind; the next call removes it.
    """
    waiting = files.beside(output, ".{}.mypt-waiting")
    with raising_save_errors(output):
        if files.is_present(waiting):
            shutil.rmtree(waiting)
        waiting.mkdir(parents=True)
        try:
            for name, content in contents.items():
                write_file(waiting / name, content)
            sync_folder(waiting)
            waiting.rename(output)
        except BaseException:
            shutil.rmtree(waiting, ignore_errors=True)
            raise
        sync_folder(output.parent)


def _make_contents(bundle: Bundle, described: Checkpoint) -> dict[str, Content]:
    documents = {
        files.CONFIG: described.config,
        files.TOKENIZER: described.tokenizer,
        files.TRAINING_STATE: described.training_state,
    }
    weights = dict(bundle.weights())
    weights.setdefault(HEAD_BIAS, weights[HEAD].new_zeros(bundle.config.vocab_size))
    tensors: dict[str, Any] = {files.MODEL: weights}
    if described.optimizer is not None:
        whole = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        shapes = trainable_shapes(whole, tied=bundle.config.tie_weights)
        tensors[files.OPTIMIZER] = number_parameters(described.optimizer, shapes)
    contents: dict[str, Content] = {
        name: strict_json.dump(document)
        for name, document in documents.items()
        if document is not None
    }
    for name, value in tensors.items():
        if value is not None:
            contents[name] = partial(write_tensors, value=value)
    return contents
