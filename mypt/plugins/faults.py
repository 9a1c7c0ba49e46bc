"""The origin of a plugin, the faults that one can have, and what its package requires."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import requires, version
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from mypt.format.errors import Problem
from mypt.format.names.packages import normalize_package_name
from mypt.format.version import DISTRIBUTION, MYPT_VERSION, PROJECT

if TYPE_CHECKING:
    from importlib.metadata import Distribution

DISABLE_VARIABLE = "MYPT_DISABLE_PLUGINS"

UNKNOWN = "an unknown package"
# The names by which a package may require mypt.
_OURS = frozenset({DISTRIBUTION, PROJECT})
# A requirement without a condition (PEP 508), and one of its limits in plain numbers (PEP 440).
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^;@()]*)\)?\s*")
_LIMIT = re.compile(r"(~=|==|!=|<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?")
_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")

FaultKind = Literal["broken", "clash", "duplicate", "slow", "superseded"]
_REMEDIES: dict[FaultKind, str] = {
    "broken": "update it",
    "clash": "rename one of the two",
    "duplicate": "rename one of the two",
    "superseded": "uninstall it",
    "slow": "ask its author to import heavy packages only where they are used",
}


@frozen
class PluginOrigin:
    """The origin of a plugin.

    Attributes:
        name: Name of the plugin: its entry point, or the module of a built-in plugin.
        package: The distribution that provides it.
        version: Version of that distribution.
        module: The package of Python that the plugin is in; "" where that is not known.
    """

    name: str
    package: str
    version: str
    module: str = ""

    @property
    def section(self) -> str:
        """The key of its settings under `plugins` of a config or a preset."""
        return normalize_package_name(self.package)

    @property
    def is_built_in(self) -> bool:
        """Whether it is part of mypt."""
        return self.package == DISTRIBUTION

    def __str__(self) -> str:
        """Return its name for messages."""
        return f"plugin {self.name} of {self.package} {self.version}"


def make_origin(name: str, distribution: Distribution | None) -> PluginOrigin:
    """Return the origin of a plugin.

    Args:
        name: Name of its entry point.
        distribution: The package that has it.
    """
    if distribution is None:
        return PluginOrigin(name, UNKNOWN, "?")
    try:
        return PluginOrigin(name, distribution.name or UNKNOWN, distribution.version or "?")
    except Exception:  # it has no metadata, or unreadable metadata
        return PluginOrigin(name, UNKNOWN, "?")


@frozen
class Fault:
    """A fault of a plugin.

    Attributes:
        source: The plugin.
        what: What is wrong with it.
        kind: `broken`: all or part of it is unusable. `clash`: a name that it offers is taken.
            `duplicate`: its own name is taken. `slow`: it works, but is slow to import.
            `superseded`: its successor is installed too, and is used.
        remedy: What to do; by default what helps against all of its kind.
    """

    source: PluginOrigin
    what: str
    kind: FaultKind = "broken"
    remedy: str = field()

    @remedy.default
    def _remedy_of_kind(self) -> str:
        return _REMEDIES[self.kind]

    @property
    def problem(self) -> Problem:
        """The fault as a one-line message for the user."""
        name = self.source.package if self.kind == "duplicate" else self.source.name
        return Problem(
            "",
            str(self.source),
            self.what,
            f"{self.remedy}, or disable it: {disable_hint(name)}",
            kind=f"plugin.{self.kind}",
            severity="warning",
        )


def disable_hint(name: str) -> str:
    """Return how to disable the plugin, or the plugins of the package, with this name."""
    return f"mypt --disable-plugin {name} ... (or {DISABLE_VARIABLE}={name})"


@frozen
class Unmet:
    """A requirement of a package that is not met here.

    Attributes:
        what: What is wrong.
        fix: What to do about it.
    """

    what: str
    fix: str


def make_fault(source: PluginOrigin, what: str) -> Fault:
    """Return the fault of a plugin that failed, with a requirement of its package that is unmet.

    Args:
        source: The plugin.
        what: How it failed.
    """
    unmet = find_unmet(source.package)
    if unmet is None:
        return Fault(source, what)
    return Fault(source, f"{what}; {unmet.what}", remedy=unmet.fix)


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
