"""Which plugins a bundle needs, and for what: the `plugins` of `manifest.json`.

A part of the architecture is needed for everything that takes the tensors, a tokenizer for text, a
guard for going on with the run that it judges. Log sinks and legacy readers leave nothing in a
bundle that would need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import PluginError, Problem
from mypt.format.layout import SLOTS
from mypt.plugins.faults import DISABLE_VARIABLE, normalize_package_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingConfig, TrainingState
    from mypt.plugins.faults import PluginOrigin
    from mypt.plugins.manager import Plugins

READ, GENERATE, TRAIN = "read", "generate", "train"
PURPOSES = (READ, GENERATE, TRAIN)
Requirements = dict[str, dict[str, Any]]


def required_plugins(
    plugins: Plugins,
    config: GPTConfig,
    tokenizer: TokenizerState | None,
    state: TrainingState | None,
    before: Mapping[str, Any],
) -> Requirements:
    """Say what a bundle needs, by package.

    Args:
        plugins: What its parts come from.
        config: Its architecture.
        tokenizer: Its vocabulary.
        state: Its training state.
        before: What it needed when it was opened. What it says of packages that are not here now is
            kept: their parts of the documents are kept as well.
    """
    here = _list_installed_packages(plugins) if before else {}
    needs: Requirements = {
        p: dict(need) for p, need in before.items() if normalize_package_name(p) not in here
    }
    for source, purposes in _find_required_origins(plugins, config, tokenizer, state):
        if not source.is_built_in:
            need = needs.setdefault(source.package, {"version": source.version, "needed_for": []})
            wanted = {*need["needed_for"], *purposes}
            need["needed_for"] = [purpose for purpose in PURPOSES if purpose in wanted]
    return needs


def check_requirements(needs: Mapping[str, Any], plugins: Plugins, purpose: str, name: str) -> None:
    """Refuse to do with a bundle what takes a plugin that is not here.

    Args:
        needs: The `plugins` of its manifest.
        plugins: What is here.
        purpose: One of `PURPOSES`.
        name: The bundle, for messages.

    Raises:
        PluginError: With one line for each package that is missing.
    """
    wanted = {package: need for package, need in needs.items() if purpose in need["needed_for"]}
    here = _list_installed_packages(plugins) if wanted else {}
    problems = [
        _make_missing_problem(package, need, name, plugins)
        for package, need in wanted.items()
        if normalize_package_name(package) not in here
    ]
    if problems:
        raise PluginError(*problems)


def check_guards(
    training: TrainingConfig, needs: Mapping[str, Any], plugins: Plugins, name: str
) -> None:
    """Refuse to go on with a run whose gold guards are not here, unless they are switched off.

    Raises:
        PluginError: With one line for each package that may bring them.
    """
    wanted = [guard for guard, options in training.gold_guards.items() if options is not False]
    if any(guard not in plugins.guards for guard in wanted):
        check_requirements(needs, plugins, TRAIN, name)


def installed_version(plugins: Plugins, package: str) -> str | None:
    """Give the version of a package whose plugins are here; None for one that is not."""
    return _list_installed_packages(plugins).get(normalize_package_name(package))


def _make_missing_problem(
    package: str, need: Mapping[str, Any], name: str, plugins: Plugins
) -> Problem:
    why, fix = "not here", f"install it: pip install {package}"
    if _has_package(package, plugins.off):
        why, fix = "switched off", f"take it out of --disable-plugin and {DISABLE_VARIABLE}"
    elif _has_package(package, (fault.source for fault in plugins.faults)):
        why, fix = "broken", "update it; mypt plugins says what is wrong with it"
    what = f"takes the plugin {package} {need['version']}, which is {why}"
    return Problem(name, "", what, fix, kind="plugin.missing")


def _has_package(package: str, sources: Iterable[PluginOrigin]) -> bool:
    return normalize_package_name(package) in {
        normalize_package_name(source.package) for source in sources
    }


def _list_installed_packages(plugins: Plugins) -> dict[str, str]:
    plugins.load_all()
    return {
        normalize_package_name(source.package): source.version
        for source in plugins.sources.values()
    }


def _find_required_origins(
    plugins: Plugins,
    config: GPTConfig,
    tokenizer: TokenizerState | None,
    state: TrainingState | None,
) -> Iterator[tuple[PluginOrigin, tuple[str, ...]]]:
    """Give where parts, tokenizer and guards come from, and what they are needed for."""
    chosen: list[tuple[str, object, tuple[str, ...]]] = [
        ("mypt_parts", (slot, getattr(config, slot)), PURPOSES) for slot in SLOTS
    ]
    if tokenizer is not None:
        chosen.append(("mypt_tokenizers", tokenizer.token_kind, (GENERATE, TRAIN)))
    if state is not None:
        guards = state.training_config.gold_guards.items()
        chosen += [("mypt_gold_guards", name, (TRAIN,)) for name, o in guards if o is not False]
    for hook, key, purposes in chosen:
        source = plugins.source_of(hook, key)
        if source is not None:
            yield source, purposes
