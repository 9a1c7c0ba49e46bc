"""Find the plugins of installed packages, without importing any of them."""

from __future__ import annotations

from importlib.metadata import distributions, entry_points
from typing import TYPE_CHECKING

from attrs import evolve

from mypt.plugins.faults import Fault, PluginOrigin
from mypt.plugins.hookspecs import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.metadata import Distribution, EntryPoint
    from typing import Any

UNKNOWN = "an unknown package"


def find_installed_plugins() -> Iterator[tuple[PluginOrigin, Callable[[], Any]] | Fault]:
    """Find the plugins in the entry-point group `mypt`, sorted by name.

    Yields:
        For each plugin its origin and a function that imports it; for a package whose metadata
        cannot be read, a fault.
    """
    try:
        found = list(entry_points(group=PROJECT))
    except Exception:  # one package with bad metadata hides the plugins of all others
        found = []
        for distribution in distributions():
            try:
                found += distribution.entry_points.select(group=PROJECT)
            except Exception as error:
                what = f"its entry points cannot be read ({type(error).__name__}: {error})"
                yield Fault(_make_origin("?", distribution), what)
    for entry in sorted(found, key=lambda entry: (entry.name, _get_package_name(entry))):
        origin = _make_origin(entry.name, entry.dist)
        yield evolve(origin, module=entry.value.partition(":")[0].partition(".")[0]), entry.load


def _get_package_name(entry: EntryPoint) -> str:
    return _make_origin(entry.name, entry.dist).package


def _make_origin(name: str, distribution: Distribution | None) -> PluginOrigin:
    if distribution is None:
        return PluginOrigin(name, UNKNOWN, "?")
    try:
        return PluginOrigin(name, distribution.name or UNKNOWN, distribution.version or "?")
    except Exception:  # it has no metadata, or unreadable metadata
        return PluginOrigin(name, UNKNOWN, "?")
