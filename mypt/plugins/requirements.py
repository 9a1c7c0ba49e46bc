"""The plugins that a bundle requires, and for what: the `plugins` of `manifest.json`.

An architecture part is required for everything that uses the tensors, a tokenizer for text, and a
guard for resuming the run that uses it. Nothing in a bundle requires log sinks or legacy readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.manifest import GENERATE, PURPOSES, TRAIN
from mypt.format.errors import PluginError, Problem
from mypt.format.layout import used_slots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.faults import PluginOrigin
    from mypt.plugins.manager import Plugins

Requirements = dict[str, dict[str, Any]]


def required_plugins(
    plugins: Plugins,
    config: GPTConfig,
    token_kind: str | None,
    training: TrainingConfig | None,
    before: Mapping[str, Any],
) -> Requirements:
    """Return the plugins that a model requires, by package, with their versions.

    Args:
        plugins: Where its parts were looked up.
        config: Its architecture.
        token_kind: Its tokenizer; None if it has none.
        training: Hyperparameters of its run, whose guards are required to go on with it.
        before: Its requirements when it was opened. Those on packages that are not installed now
            are kept, as are the packages' sections in the documents.
    """
    needs: Requirements = {
        package: dict(need)
        for package, need in before.items()
        if plugins.version_of(package) is None
    }
    for source, purposes in _find_required_origins(plugins, config, token_kind, training):
        if not source.is_built_in:
            need = needs.setdefault(source.package, {"version": source.version, "needed_for": []})
            wanted = {*need["needed_for"], *purposes}
            need["needed_for"] = [purpose for purpose in PURPOSES if purpose in wanted]
    return needs


def check_requirements(needs: Mapping[str, Any], plugins: Plugins, purpose: str, name: str) -> None:
    """Raise if using a bundle for a purpose requires a plugin that is not available.

    Args:
        needs: The `plugins` of its manifest.
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


def check_guards(
    training: TrainingConfig, needs: Mapping[str, Any], plugins: Plugins, name: str
) -> None:
    """Raise if gold guards that a resumed run uses are not available.

    Raises:
        PluginError: One problem for each package that may provide them.
    """
    wanted = [guard for guard, options in training.gold_guards.items() if options is not False]
    if any(guard not in plugins.guards for guard in wanted):
        check_requirements(needs, plugins, TRAIN, name)


def _make_missing_problem(
    package: str, need: Mapping[str, Any], name: str, plugins: Plugins
) -> Problem:
    why, fix = plugins.explain_absence(package)
    what = f"requires the plugin {package} {need['version']}, which {why}"
    return Problem(name, "", what, fix, kind="plugin.missing")


def _find_required_origins(
    plugins: Plugins,
    config: GPTConfig,
    token_kind: str | None,
    training: TrainingConfig | None,
) -> Iterator[tuple[PluginOrigin, tuple[str, ...]]]:
    """Yield the origin of each part, tokenizer and guard, and the purposes that require it."""
    chosen: list[tuple[str, object, tuple[str, ...]]] = [
        ("mypt_parts", (slot, getattr(config, slot)), PURPOSES)
        for slot in used_slots(config, plugins.layouts)
    ]
    if token_kind is not None:
        chosen.append(("mypt_tokenizers", token_kind, (GENERATE, TRAIN)))
    if training is not None:
        guards = training.gold_guards.items()
        chosen += [("mypt_gold_guards", name, (TRAIN,)) for name, o in guards if o is not False]
    for hook, key, purposes in chosen:
        source = plugins.source_of(hook, key)
        if source is not None:
            yield source, purposes
