"""Where plugins contradict each other, beyond the names that a registry knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.names.packages import normalize_package_name
from mypt.format.rules.plugin_sections import describe_choice, list_clashes
from mypt.plugins.faults import Fault
from mypt.plugins.offers.settings import collect_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.plugins.faults import PluginOrigin
    from mypt.plugins.loader import PluginLoader
    from mypt.plugins.registry import HookRegistry


def find_clashes(loader: PluginLoader) -> Iterator[Fault]:
    """Yield the faults of plugins that are loaded: options, then former names, that clash."""
    yield from _find_option_clashes(loader)
    for registry in loader.offered_by_hook.values():
        yield from _find_former_clashes(registry)


def _find_option_clashes(loader: PluginLoader) -> Iterator[Fault]:
    """Yield options that two factories of one package declare, and not alike."""
    settings = collect_settings(loader)
    for source in loader.sources.values():
        if source.is_built_in:
            continue
        for option, choices in list_clashes(source.section, settings).items():
            both = " and ".join(map(describe_choice, choices))
            what = f"offers {both}, which do not take the same as the option `{option}`"
            yield Fault(source, what, "clash")


def _find_former_clashes(registry: HookRegistry) -> Iterator[Fault]:
    """Yield former names that somebody else has now, or that two factories claim."""
    for was, claims in registry.find_former().items():
        if len(claims) > 1:
            first, second = (registry.sources[key] for key in claims[:2])
            noun = registry.hook.noun(was)
            what = f"says that it offered the {noun}, as {first} does"
            yield Fault(second, what, "clash")
    for key, factory in registry.factories.items():
        for name in getattr(factory, "former_names", ()):
            was = (key[0], name) if isinstance(key, tuple) else name
            owner, source = registry.sources.get(was), registry.sources[key]
            if owner is None or owner == source or _is_predecessor(owner, factory):
                continue
            what = f"says that it offered the {registry.hook.noun(was)}, which {owner} offers"
            yield Fault(source, what, "clash")


def _is_predecessor(source: PluginOrigin, factory: Any) -> bool:
    return source.section in map(normalize_package_name, factory.former_packages)
