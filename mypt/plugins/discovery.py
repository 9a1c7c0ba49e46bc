"""Find the entry points of the plugins of installed packages, without importing any of them."""

from __future__ import annotations

from importlib.metadata import distributions, entry_points
from typing import TYPE_CHECKING, NamedTuple

from mypt.format.version import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution, EntryPoint

# The entry points of plugins; those with commands may be in the second, which `mypt --help` asks.
COMMANDS_GROUP = f"{PROJECT}.commands"
GROUPS = (PROJECT, COMMANDS_GROUP)


class Found(NamedTuple):
    """What a look at the metadata of all installed packages found.

    Attributes:
        entry_points: The entry points of plugins; one that is in several groups is there as often.
        unreadable: The packages whose entry points cannot be read, and why.
    """

    entry_points: list[EntryPoint]
    unreadable: list[tuple[Distribution, Exception]]


def find_entry_points(groups: Iterable[str] = GROUPS) -> Found:
    """Find the entry points of plugins.

    Args:
        groups: The groups to look in.
    """
    try:
        return Found([entry for group in groups for entry in entry_points(group=group)], [])
    except Exception:  # one package with bad metadata hides the plugins of all others
        found = Found([], [])
    for distribution in distributions():
        try:
            listed = distribution.entry_points
            found.entry_points.extend(e for group in groups for e in listed.select(group=group))
        except Exception as error:
            found.unreadable.append((distribution, error))
    return found
