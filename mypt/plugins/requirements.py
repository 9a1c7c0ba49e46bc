"""Whether what a checkpoint requires is available here: see `mypt.format.rules.requirements`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.convert import to_document
from mypt.format.documents.manifest import TRAIN
from mypt.format.errors import FormatError, PluginError, Problem
from mypt.format.rules.requirements import (
    SCOPES,
    feature_problems,
    is_of_other,
    list_run_choices,
    package_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingConfig, TrainingState
    from mypt.format.schema.check import Kind
    from mypt.plugins.manager import Plugins


def check_requirements(needs: Mapping[str, Any], plugins: Plugins, purpose: str, name: str) -> None:
    """Raise if using a bundle for a purpose requires a plugin that is not available.

    Args:
        needs: The plugins that it requires, by package, as a manifest has them.
        plugins: The available plugins.
        purpose: One of `PURPOSES`.
        name: The bundle, for messages.

    Raises:
        PluginError: One problem for each missing package.
    """
    problems = [
        _make_missing_problem(package, need, name, plugins)
        for package, need in needs.items()
        if purpose in need["needed_for"] and plugins.version_of(package) is None
    ]
    if problems:
        raise PluginError(*problems)


def check_features(
    kind: Kind, document: TokenizerState | TrainingState, folder: Path | None
) -> None:
    """Raise if a document requires a feature of the format that this version does not know.

    Args:
        kind: The kind of document.
        document: The document.
        folder: The checkpoint that it is of, for messages; None where that is not known.

    Raises:
        FormatError: It does.
    """
    if document.requires:
        file = SCOPES[kind].file if folder is None else str(folder / SCOPES[kind].file)
        problems = feature_problems(kind, to_document(document), file)
        if problems:
            raise FormatError(*problems)


def is_tokenizer_here(state: TokenizerState, plugins: Plugins) -> bool:
    """Return whether a tokenizer is offered, with all that its document requires."""
    if state.token_kind not in plugins.tokenizers:
        return False
    if not state.requires:
        return True
    packages = filter(None, map(package_of, state.requires))
    is_known = not feature_problems("tokenizer", to_document(state), "")
    return is_known and all(plugins.version_of(package) is not None for package in packages)


def check_run(
    state: TrainingState | None,
    training: TrainingConfig,
    needs: Mapping[str, Any],
    plugins: Plugins,
    folder: Path | None,
) -> None:
    """Raise if a run cannot be gone on with here.

    A plugin of guards alone that the run no longer uses is not looked for.

    Args:
        state: The training state to go on from; None for none.
        training: The hyperparameters of the run that goes on.
        needs: The plugins that its checkpoint requires, by package, as a manifest has them.
        plugins: The available plugins.
        folder: The checkpoint, for messages; None where that is not known.

    Raises:
        FormatError: The state requires a feature that this version does not know.
        PluginError: A plugin is not available; one problem for each package.
    """
    if state is not None:
        check_features("training_state", state, folder)
    choices = list_run_choices(training)
    if state is not None:
        choices = [
            choice for choice in list_run_choices(state.training_config) if choice in choices
        ]
    if any(is_of_other(choice, plugins.settings, needs) for choice in choices):
        check_requirements(needs, plugins, TRAIN, "this model" if folder is None else str(folder))


def _make_missing_problem(
    package: str, need: Mapping[str, Any], name: str, plugins: Plugins
) -> Problem:
    why, fix = plugins.explain_absence(package)
    version = f" {need['version']}" if need["version"] else ""
    what = f"requires the plugin {package}{version}, which {why}"
    return Problem(name, "", what, fix, kind="plugin.missing")
