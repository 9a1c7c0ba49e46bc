"""Where plugins come from, and what can be wrong with one."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from mypt.format.errors import Problem

DISABLE_VARIABLE = "MYPT_DISABLE_PLUGINS"

FaultKind = Literal["broken", "clash", "duplicate", "slow"]


@frozen
class PluginOrigin:
    """Where a plugin comes from.

    Attributes:
        name: Name of the plugin: its entry point, or the module of a built-in one.
        package: Distribution that brings it.
        version: Version of that distribution.
    """

    name: str
    package: str
    version: str

    @property
    def is_built_in(self) -> bool:
        """Whether it comes with mypt."""
        return self.package == "mypt"

    def __str__(self) -> str:
        """Name it as messages do."""
        return f"plugin {self.name} of {self.package} {self.version}"


@frozen
class Fault:
    """What is wrong with a plugin.

    Attributes:
        source: The plugin.
        what: What is wrong with it.
        kind: `broken`: all or some of it cannot be used. `clash`: a name that it offers is taken.
            `duplicate`: its own name is. `slow`: it works, but keeps whoever loads it waiting.
    """

    source: PluginOrigin
    what: str
    kind: FaultKind = "broken"

    @property
    def problem(self) -> Problem:
        """What to tell the user, in one line."""
        remedy = {
            "broken": "update it",
            "clash": "rename one of the two",
            "duplicate": "rename one of the two",
            "slow": "ask its author to import what is heavy where it is used",
        }[self.kind]
        name = self.source.package if self.kind == "duplicate" else self.source.name
        return Problem(
            "",
            str(self.source),
            self.what,
            f"{remedy}, or switch it off: {disable_hint(name)}",
            kind=f"plugin.{self.kind}",
            severity="warning",
        )


def disable_hint(name: str) -> str:
    """Say how a plugin of that name, or those of a package of that name, are switched off."""
    return f"mypt --disable-plugin {name} ... (or {DISABLE_VARIABLE}={name})"


def normalize_package_name(package: str) -> str:
    """Give the one spelling of the name of a package.

    Source: Python Packaging User Guide, "Names and normalization".
    """
    import re

    return re.sub(r"[-_.]+", "-", package).lower()
