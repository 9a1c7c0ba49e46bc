"""Write a model in the form of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.api.argument_rules import PLUGINS
from mypt.api.model_log import read_last_losses
from mypt.engine.checkpoints.adapters.base import merge_opened
from mypt.engine.checkpoints.paths import find_checkpoint, with_base
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.documents.config import BIAS_FIELDS
from mypt.format.documents.convert import to_document
from mypt.format.errors import FormatError, PluginError, Problem, UsageError
from mypt.format.layout import expected_tensors
from mypt.format.open import open_checkpoint, recognise
from mypt.format.readers.options import check_values, share_options
from mypt.format.rules.arguments import MAPPING, PATH, TEXT, checked, optional
from mypt.format.storage.atomic_file import open_workplace, remove_leftover
from mypt.format.storage.files import ensure_basename, is_folder, is_present
from mypt.format.storage.operating_system import sync_folder, sync_tree
from mypt.format.storage.save_errors import raising_save_errors
from mypt.gc_pause import pause_gc
from mypt.plugins.contracts.exporter import ModelToExport
from mypt.plugins.manager import Plugins, load_plugins
from mypt.plugins.requirements import check_features
from mypt.tokenizers.added_tokens import build_from_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from mypt.format.documents.config import GPTConfig
    from mypt.format.opened import Opened
    from mypt.plugins.contracts.exporter import ExporterFactory
    from mypt.plugins.contracts.tokenizer import Tokenizer

_WORKPLACE = "mypt-export"


@checked(
    path_or_name=PATH,
    to=TEXT,
    output=PATH,
    plugins=PLUGINS,
    options=optional(MAPPING),
    base=optional(PATH),
)
def export_model(
    path_or_name: str | Path,
    to: str,
    output: str | Path,
    *,
    plugins: Plugins | None = None,
    options: Mapping[str, Any] | None = None,
    base: str | Path | None = None,
) -> list[str]:
    """Write a model in the form of another program, which computes the same with it.

    Training state is left out.

    Args:
        path_or_name: A path, or the name of a model in `checkpoints/`, of any program that mypt
            reads.
        to: Name of the exporter, such as `hf`; `load_plugins().exporters` has all.
        output: File or folder to create; it must not exist, or be an empty folder.
        plugins: Where exporters, parts and readers are looked up; by default all that are
            installed.
        options: Settings of the exporter, such as `{"dtype": "bfloat16"}`, and of the reader of a
            foreign checkpoint.
        base: Of an adapter, its base, as `load` takes it. It is merged with it, but by an exporter
            of adapters.

    Returns:
        What was folded into other tensors or left out, one line each.

    Raises:
        PluginError: No plugin offers the exporter, or the checkpoint requires a plugin that is not
            installed.
        FormatError: The other program cannot compute what the model computes; or the path is not a
            checkpoint, or one of its files is damaged.
        UsageError: There is no such checkpoint, the output is in use, or neither the exporter nor
            the reader has one of the options, or not with that value.
        SaveError: It could not be written; nothing is left behind.
        LockedError: Another process is writing there.
    """
    with pause_gc():
        plugins = load_plugins() if plugins is None else plugins
        exporter = plugins.exporter(to)
        source, target = find_checkpoint(path_or_name), ensure_basename(Path(output))
        if is_present(target) and (not is_folder(target) or any(target.iterdir())):
            remove_leftover(target, _WORKPLACE)
            what, fix = "exists already and is not an empty folder", "name another one"
            raise UsageError(Problem(str(target), "", what, fix, kind="export.output"))
        reader = recognise(source, plugins.readers.values())[1]
        own, of_reader = share_options(options or {}, [exporter, reader])
        check_values(own, exporter)
        return _export(source, target, exporter, plugins, of_reader, own, base)


@reopen_if_saved
def _export(
    source: Path,
    target: Path,
    exporter: ExporterFactory,
    plugins: Plugins,
    of_reader: Mapping[str, Any],
    options: Mapping[str, Any],
    base: str | Path | None,
) -> list[str]:
    opened = with_base(open_checkpoint(source, plugins, of_reader), base)
    if not exporter.takes_adapters:
        opened = merge_opened(opened, plugins)
    weights = opened.weights()
    config = _without_empty_biases(opened.config, weights, exporter, plugins)
    problems = exporter.explain(config)
    if problems:
        raise FormatError(*problems)
    kept = expected_tensors(config, plugins.layouts)
    model = ModelToExport(
        config=config,
        weights={name: weights[name] for name in kept},
        tokenizer=opened.tokenizer,
        training_state=opened.training_state,
        losses=read_last_losses(opened.path, opened.training_state),
        remarks=opened.remarks,
        build_tokenizer=lambda: _build_tokenizer(opened, plugins),
    )
    notes = [f"{name} is left out: it is zero" for name in weights if name not in kept]
    notes += _write_beside(target, exporter, model, options)
    return [*notes, *opened.remarks, *(f"warning: {warning}" for warning in opened.warnings)]


def _without_empty_biases(
    config: GPTConfig, weights: Mapping[str, Tensor], exporter: ExporterFactory, plugins: Plugins
) -> GPTConfig:
    """Return the config without biases that are all zero and that the exporter cannot write."""
    for field in BIAS_FIELDS:
        problems = exporter.explain(config)
        without: dict[str, Any] = {field: False}
        smaller = evolve(config, **without)
        gone = expected_tensors(config, plugins.layouts).keys() - expected_tensors(
            smaller, plugins.layouts
        )
        if gone and problems and not any(weights[name].any() for name in gone):
            config = smaller if len(exporter.explain(smaller)) < len(problems) else config
    return config


def _build_tokenizer(opened: Opened, plugins: Plugins) -> Tokenizer:
    if opened.tokenizer is None:
        raise FormatError(Problem(str(opened.path), "", "has no tokenizer", "put one beside it"))
    check_features("tokenizer", opened.tokenizer, opened.path)
    return build_from_state(to_document(opened.tokenizer), plugins)


def _write_beside(
    target: Path, exporter: ExporterFactory, model: ModelToExport, options: Mapping[str, Any]
) -> Sequence[str]:
    """Write the model beside the target, and rename it when it is complete."""
    with raising_save_errors(target), open_workplace(target, _WORKPLACE) as work:
        made = work / target.name
        notes = exporter.write(model, made, options)
        if not is_present(made):
            what, fix = "it has written nothing", "report it to its author"
            raise PluginError(Problem("", exporter.name, what, fix, kind="plugin"))
        sync_tree(made)
        if is_present(target):
            target.rmdir()
        made.rename(target)
        sync_folder(target.parent)
    return notes
