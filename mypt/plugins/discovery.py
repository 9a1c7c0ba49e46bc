"""Find the plugins of installed packages, without importing any of them."""

from __future__ import annotations

from importlib.metadata import distributions, entry_points
from typing import TYPE_CHECKING

from mypt.plugins.faults import Fault, Source
from mypt.plugins.hookspecs import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.metadata import Distribution, EntryPoint
    from typing import Any

UNKNOWN = "an unknown package"


def installed_plugins() -> Iterator[tuple[Source, Callable[[], Any]] | Fault]:
    """Find what is registered in the entry-point group `mypt`, in the order of the names.

    Yields:
        Each plugin with what imports it; a fault for a package whose metadata cannot be read.
    """
    try:
        found = list(entry_points(group=PROJECT))
    except Exception:  # one package with bad metadata hides those of all others
        found = []
        for distribution in distributions():
            try:
                found += distribution.entry_points.select(group=PROJECT)
            except Exception as error:
                what = f"its entry points cannot be read ({type(error).__name__}: {error})"
                yield Fault(_source("?", distribution), what)
    for entry in sorted(found, key=lambda entry: (entry.name, _package(entry))):
        yield _source(entry.name, entry.dist), entry.load


def _package(entry: EntryPoint) -> str:
    return _source(entry.name, entry.dist).package


def _source(name: str, distribution: Distribution | None) -> Source:
    if distribution is None:
        return Source(name, UNKNOWN, "?")
    try:
        return Source(name, distribution.name or UNKNOWN, distribution.version or "?")
    except Exception:  # it has no metadata, or none that can be read
        return Source(name, UNKNOWN, "?")
