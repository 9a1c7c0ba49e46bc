"""What the metadata of installed packages says of plugins: nothing of them is imported.

It says where their entry points are, and what their packages require.
"""

from __future__ import annotations

import re
import shlex
from importlib.metadata import distributions, entry_points, requires, version
from typing import TYPE_CHECKING, NamedTuple

from mypt.format.names.packages import normalize_package_name
from mypt.format.version import DISTRIBUTION, MYPT_VERSION, PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution, EntryPoint

# The entry points of plugins; those with commands may be in the second, which `mypt --help` asks.
COMMANDS_GROUP = f"{PROJECT}.commands"
GROUPS = (PROJECT, COMMANDS_GROUP)

# The names by which a package may require mypt.
_OURS = frozenset({DISTRIBUTION, PROJECT})
# A requirement without a condition (PEP 508), and one of its limits in plain numbers (PEP 440).
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^;@()]*)\)?\s*")
_LIMIT = re.compile(r"(~=|==|!=|<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?")
_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")


class FoundEntryPoints(NamedTuple):
    """What a look at the metadata of all installed packages found.

    Attributes:
        entry_points: The entry points of plugins; one that is in several groups is there as often.
        unreadable: The packages whose entry points cannot be read, and why.
    """

    entry_points: list[EntryPoint]
    unreadable: list[tuple[Distribution, Exception]]


def find_entry_points(groups: Iterable[str] = GROUPS) -> FoundEntryPoints:
    """Find the entry points of plugins.

    Args:
        groups: The groups to look in.
    """
    try:
        found = [entry for group in groups for entry in entry_points(group=group)]
        return FoundEntryPoints(found, [])
    except Exception:  # one package with bad metadata hides the plugins of all others
        return _find_one_by_one(groups)


def _find_one_by_one(groups: Iterable[str]) -> FoundEntryPoints:
    found = FoundEntryPoints([], [])
    for distribution in distributions():
        try:
            listed = distribution.entry_points
            found.entry_points.extend(e for group in groups for e in listed.select(group=group))
        except Exception as error:
            found.unreadable.append((distribution, error))
    return found


class Unmet(NamedTuple):
    """A requirement of a package that is not met here.

    Attributes:
        what: What is wrong.
        fix: What to do about it.
    """

    what: str
    fix: str


def find_unmet(package: str, *, only_mypt: bool = False) -> Unmet | None:
    """Return the first requirement of an installed package that is not met; None if all are.

    Those with a condition, and limits other than plain numbers, count as met.

    Args:
        package: Its name.
        only_mypt: Look at what it requires of mypt alone.
    """
    try:
        lines = requires(package) or []
    except Exception:  # it is not installed, or has unreadable metadata
        return None
    for parsed in filter(None, map(_REQUIREMENT.fullmatch, lines)):
        is_mypt = normalize_package_name(parsed[1]) in _OURS
        if is_mypt or not only_mypt:
            unmet = _check_requirement(parsed[1], parsed[2].replace(" ", ""), package)
            if unmet is not None:
                return unmet
    return None


def _check_requirement(name: str, limits: str, package: str) -> Unmet | None:
    wanted, here = f"{name}{limits}", _find_version(name)
    if here is None:
        fix = f"install it: pip install {shlex.quote(wanted)}"
        return Unmet(f"{package} requires {wanted}, which is not installed", fix)
    failing = [limit for limit in limits.split(",") if not _is_within(here, limit)]
    if not failing:
        return None
    fix = f"install that: pip install {shlex.quote(wanted)}"
    if normalize_package_name(name) in _OURS:
        is_old = failing[0].startswith("<")
        fix = f"update {package}: pip install -U {package}"
        fix = fix if is_old else f"update mypt: pip install -U {DISTRIBUTION}"
    return Unmet(f"{package} requires {wanted}, and {name} {here} is installed", fix)


def _find_version(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    if normalize_package_name(package) in _OURS:
        return MYPT_VERSION
    try:
        return version(package)
    except Exception:  # it is not installed, or has unreadable metadata
        return None


def _is_within(here: str, limit: str) -> bool:
    parsed, release = _LIMIT.fullmatch(limit), _RELEASE.match(here)
    if parsed is None or release is None:
        return True
    operator, bound, prefix = parsed[1], _to_numbers(parsed[2]), parsed[3]
    numbers = _to_numbers(release[0])
    width = max(len(numbers), len(bound))
    one, other = (tuple([*parts, *[0] * width][:width]) for parts in (numbers, bound))
    begins_alike = one[: len(bound)] == tuple(bound)
    is_equal = begins_alike if prefix else one == other
    return {
        "==": is_equal,
        "!=": not is_equal,
        "~=": one >= other and one[: len(bound) - 1] == tuple(bound[:-1]),
        ">=": one >= other,
        "<=": one <= other,
        ">": one > other,
        "<": one < other,
    }[operator]


def _to_numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]
