"""The plugins that a bundle requires, and for what: the `plugins` of `manifest.json`.

An architecture part is required for everything that uses the tensors, a tokenizer for text, and a
guard for resuming the run that uses it. Nothing in a bundle requires log sinks or legacy readers.
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
    """Return the plugins that a bundle requires, by package.

    Args:
        plugins: Where its parts were looked up.
        config: Its architecture.
        tokenizer: Its vocabulary.
        state: Its training state.
        before: Its requirements when it was opened. Those on packages that are not installed now
            are kept, as are the packages' sections in the documents.
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
    """Raise if using a bundle for a purpose requires a plugin that is not available.

    Args:
        needs: The `plugins` of its manifest.
        plugins: The available plugins.
        purpose: One of `PURPOSES`.
        name: The bundle, for messages.

    Raises:
        PluginError: One problem for each missing package.
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
    """Raise if gold guards that a resumed run uses are not available.

    Raises:
        PluginError: One problem for each package that may provide them.
    """
    wanted = [guard for guard, options in training.gold_guards.items() if options is not False]
    if any(guard not in plugins.guards for guard in wanted):
        check_requirements(needs, plugins, TRAIN, name)


def installed_version(plugins: Plugins, package: str) -> str | None:
    """Return the version of a package whose plugins are available; otherwise None."""
    return _list_installed_packages(plugins).get(normalize_package_name(package))


def _make_missing_problem(
    package: str, need: Mapping[str, Any], name: str, plugins: Plugins
) -> Problem:
    why, fix = "not installed", f"install it: pip install {package}"
    if _has_package(package, plugins.off):
        why, fix = "disabled", f"remove it from --disable-plugin and {DISABLE_VARIABLE}"
    elif _has_package(package, (fault.source for fault in plugins.faults)):
        why, fix = "broken", "update it; `mypt plugins` shows what is wrong with it"
    what = f"requires the plugin {package} {need['version']}, which is {why}"
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
    """Yield the origin of each part, tokenizer and guard, and the purposes that require it."""
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
