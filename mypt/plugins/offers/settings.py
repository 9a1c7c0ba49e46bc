"""The settings that plugins take, each by its field and its name, for validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.names.packages import normalize_package_name
from mypt.format.rules.plugin_settings import (
    DATA_SOURCE,
    GUARDS,
    LOSS,
    LR_SCHEDULE,
    OPTIMIZER,
    PLUGINS,
    SINKS,
    TOKEN_KIND,
    TOKENIZATION,
    Setting,
    former_key,
)
from mypt.plugins.registry import accept_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.plugins.faults import PluginOrigin
    from mypt.plugins.loader import PluginLoader
    from mypt.plugins.registry import HookRegistry

_FORMER_KIND = former_key(TOKEN_KIND, "")[0]
# Where the settings of what a hook offers stand: a field and a name, from the key.
_PLACES: Mapping[str, Callable[[Any], tuple[str, str]]] = {
    "mypt_tokenizers": lambda kind: (TOKEN_KIND, kind),
    "mypt_parts": lambda slot_and_name: slot_and_name,
    "mypt_optimizers": lambda name: (OPTIMIZER, name),
    "mypt_schedules": lambda name: (LR_SCHEDULE, name),
    "mypt_losses": lambda name: (LOSS, name),
    "mypt_data_sources": lambda name: (DATA_SOURCE, name),
    "mypt_gold_guards": lambda name: (GUARDS, name),
    "mypt_log_sinks": lambda name: (SINKS, name),
}


def collect_settings(loader: PluginLoader) -> dict[tuple[str, str], Setting]:
    """Return the settings of what is loaded, under present and former names, and of each package.

    Args:
        loader: What was found and loaded; hooks that were not called yet are called.
    """
    offered = loader.offered_by_hook
    settings = {
        place(key): _describe_factory(factory, offered[hook].sources[key])
        for hook, place in _PLACES.items()
        for key, factory in loader.collect(hook).items()
    }
    for kind, factory in loader.collect("mypt_tokenizers").items():
        package = settings[TOKEN_KIND, kind].package
        settings[TOKENIZATION, kind] = Setting(package, factory.train_options or {})
    former = _collect_former(loader, settings)
    for hook, place in _PLACES.items():
        for key in offered[hook].contested:
            settings[place(key)] = _describe_clash(offered[hook], key, "options")
            if hook == "mypt_tokenizers":
                settings[TOKENIZATION, key] = _describe_clash(offered[hook], key, "train_options")
    return {**settings, **former, **_describe_packages(loader)}


def _collect_former(
    loader: PluginLoader, settings: Mapping[tuple[str, str], Setting]
) -> dict[tuple[str, str], Setting]:
    """Return what factories and packages that are here were called before; see `former_key`."""
    former: dict[tuple[str, str], Setting] = {}
    for hook, place in _PLACES.items():
        registry = loader.offered_by_hook[hook]
        for was, claims in registry.find_former().items():
            if len(claims) == 1:
                now = place(claims[0])
                former[former_key(*place(was))] = evolve(settings[now], name=now[1])
        for key, factory in registry.factories.items():
            for package in map(normalize_package_name, factory.former_packages):
                if _has_given_way(loader, package):
                    packages = Setting(registry.sources[key].package)
                    former.setdefault(former_key(PLUGINS, package), packages)
    kinds = [(was, found) for (field, was), found in former.items() if field == _FORMER_KIND]
    former |= {former_key(TOKENIZATION, was): found for was, found in kinds}
    return former


def _has_given_way(loader: PluginLoader, package: str) -> bool:
    """Return whether a package is not here any more, or one of its factories is not used."""
    here = {source.section for source in loader.sources.values()}
    superseded = (registry.superseded for registry in loader.offered_by_hook.values())
    return package not in here or any(package in found for found in superseded)


def _describe_clash(registry: HookRegistry, key: object, options: str) -> Setting:
    """Return the setting of a name that two packages offer: it takes the options of both."""
    problem = registry.explain_missing(key)
    schemas = [getattr(factory, options) or {} for factory in registry.contested[key]]
    first, *others = (source.section for source in registry.clashes[key])
    why = (problem.what, problem.fix)
    return Setting(first, accept_options(*schemas), names=tuple(others), unusable=why)


def _describe_packages(loader: PluginLoader) -> dict[tuple[str, str], Setting]:
    """Return each package with plugins, as the name of a section."""
    faulty = (fault.source for fault in loader.faults)
    found: dict[str, list[PluginOrigin]] = {}
    for source in (*loader.sources.values(), *loader.off, *faulty):
        if not source.is_built_in:
            found.setdefault(source.section, []).append(source)
    works = {source.section for source in loader.sources.values()}
    return {
        (PLUGINS, package): Setting(
            package,
            names=(
                *(name for source in sources for name in (source.name, source.module)),
                *_list_former_packages(loader, package),
            ),
            unusable=None if package in works else loader.explain_absence(package),
        )
        for package, sources in found.items()
    }


def _list_former_packages(loader: PluginLoader, package: str) -> list[str]:
    return [
        normalize_package_name(name)
        for registry in loader.offered_by_hook.values()
        for key, factory in registry.factories.items()
        if registry.sources[key].section == package
        for name in getattr(factory, "former_packages", ())
    ]


def _describe_factory(factory: Any, source: PluginOrigin) -> Setting:
    return Setting(
        source.section,
        factory.options,
        declaration=getattr(factory, "declaration", None),
        former_packages=tuple(map(normalize_package_name, factory.former_packages)),
        update=factory.update,
    )
