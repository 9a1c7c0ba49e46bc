"""The origin of a plugin, and the faults that one can have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from mypt.format.errors import Problem
from mypt.format.names.packages import normalize_package_name
from mypt.format.version import DISTRIBUTION
from mypt.plugins.packages import find_unmet

if TYPE_CHECKING:
    from importlib.metadata import Distribution

DISABLE_VARIABLE = "MYPT_DISABLE_PLUGINS"

UNKNOWN = "an unknown package"
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
