"""Find, load and look up plugins; one that is broken takes nothing else down."""

from __future__ import annotations

import importlib
import os
from functools import cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy
from attrs import frozen

from mypt.format.errors import PluginError, Problem, suggestion
from mypt.plugins import hookspecs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from importlib.metadata import EntryPoint
    from types import ModuleType

    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import ReaderFactory
    from mypt.plugins.contracts import GuardFactory, PartFactory, SinkFactory, TokenizerFactory

# Named, not imported: what a command does not look up is never loaded.
BUILT_IN = (
    "mypt.tokenizers.plugin",
    "mypt.model.plugin",
    "mypt.engine.plugin",
    "mypt.format.readers.plugin",
)
DISABLE_VARIABLE = "MYPT_DISABLE_PLUGINS"

F = TypeVar("F")
K = TypeVar("K")


@frozen
class Source:
    """Where a plugin comes from.

    Attributes:
        name: Name of the plugin: its entry point, or the module of a built-in one.
        package: Distribution that brings it.
        version: Version of that distribution.
    """

    name: str
    package: str
    version: str


@frozen
class BrokenPlugin:
    """A plugin that could not be used, and why."""

    source: Source
    reason: str

    @property
    def problem(self) -> Problem:
        """What to tell the user."""
        return Problem(
            "",
            f"plugin {self.source.name} of {self.source.package} {self.source.version}",
            f"is broken: {self.reason}",
            f"update it, or switch it off with {DISABLE_VARIABLE}={self.source.name}",
            kind="plugin.broken",
            severity="warning",
        )


class Plugins:
    """The registered plugins, looked up by what they offer.

    Build one with `load_plugins` and pass it on; nothing here is global.

    Attributes:
        broken: Plugins that failed, in the order they did.
        disabled: Names that were switched off.
    """

    def __init__(self, disabled: Iterable[str] = ()) -> None:
        """Begin without plugins.

        Args:
            disabled: Names of plugins not to load.
        """
        self.disabled = frozenset(disabled)
        self.broken: list[BrokenPlugin] = []
        self.sources: dict[str, Source] = {}
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    def register(self, module: ModuleType | object, source: Source) -> None:
        """Register one plugin.

        Raises:
            PluginError: It has a hook that mypt does not know, or the wrong arguments.
        """
        try:
            self._manager.register(module, name=source.name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self._manager.has_plugin(source.name):
                self._manager.unregister(name=source.name)
            what = str(error).splitlines()[-1]
            fix = "compare its hooks with the reference of hooks"
            raise PluginError(Problem("", f"plugin {source.name}", what, fix)) from error
        self.sources[source.name] = source

    def load(self, source: Source, importer: Callable[[], Any]) -> None:
        """Import and register one plugin, noting it as broken where that fails."""
        if source.name in self.disabled:
            return
        try:
            self.register(importer(), source)
        except (Exception, SystemExit) as error:  # whatever a stranger's module raises
            reason = str(error).strip().splitlines()[-1:] or [""]
            self.broken.append(BrokenPlugin(source, f"{type(error).__name__}: {reason[0]}"))

    @cached_property
    def tokenizers(self) -> Mapping[str, TokenizerFactory]:
        """Tokenizers by `token_kind`."""
        return self._collect("mypt_tokenizers", lambda factory: factory.token_kind)

    @cached_property
    def parts(self) -> Mapping[tuple[str, str], PartFactory]:
        """Architecture parts by slot and name."""
        return self._collect("mypt_parts", lambda factory: (factory.slot, factory.name))

    @cached_property
    def guards(self) -> Mapping[str, GuardFactory]:
        """Gold guards by name."""
        return self._collect("mypt_gold_guards", lambda factory: factory.name)

    @cached_property
    def sinks(self) -> Mapping[str, SinkFactory]:
        """Log sinks by name."""
        return self._collect("mypt_log_sinks", lambda factory: factory.name)

    @cached_property
    def readers(self) -> Mapping[str, ReaderFactory]:
        """Legacy readers by name."""
        return self._collect("mypt_legacy_readers", lambda factory: factory.name)

    @property
    def layouts(self) -> Layouts:
        """The tensors of every registered part, for validation."""
        return {key: part.tensors for key, part in self.parts.items()}

    def tokenizer(self, token_kind: str) -> TokenizerFactory:
        """Look up a tokenizer.

        Raises:
            PluginError: No plugin offers it.
        """
        return _look_up(self.tokenizers, token_kind, token_kind, "tokenizer")

    def part(self, slot: str, name: str) -> PartFactory:
        """Look up an architecture part.

        Raises:
            PluginError: No plugin offers it.
        """
        offered = {key[1]: part for key, part in self.parts.items() if key[0] == slot}
        return _look_up(offered, name, name, slot)

    def _collect(self, hook: str, key_of: Callable[[F], K]) -> dict[K, F]:
        offered: dict[K, F] = {}
        origin: dict[K, str] = {}
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            plugin = implementation.plugin_name
            for factory in self._call(implementation, plugin):
                key = key_of(factory)
                if key in offered:
                    _clash(hook, key, origin[key], plugin)
                offered[key] = factory
                origin[key] = plugin
        return offered

    def _call(self, implementation: pluggy.HookImpl, plugin: str) -> list[Any]:
        try:
            return list(implementation.function())  # type: ignore[no-any-return, call-overload]
        except (Exception, SystemExit) as error:
            reason = f"{implementation.function.__name__} failed: {error}"
            self.broken.append(BrokenPlugin(self.sources[plugin], reason))
            return []


def load_plugins(disabled: Iterable[str] = ()) -> Plugins:
    """Register the built-in plugins and those of installed packages.

    Args:
        disabled: Names of plugins to leave out, beside those that the environment variable
            `MYPT_DISABLE_PLUGINS` names, separated by commas.
    """
    from mypt.format.version import MYPT_VERSION

    named = os.environ.get(DISABLE_VARIABLE, "").split(",")
    plugins = Plugins({*disabled, *(name.strip() for name in named if name.strip())})
    for module in BUILT_IN:
        plugins.register(importlib.import_module(module), Source(module, "mypt", MYPT_VERSION))
    for entry in sorted(entry_points(group=hookspecs.PROJECT), key=lambda entry: entry.name):
        plugins.load(_source(entry), entry.load)
    return plugins


def _source(entry: EntryPoint) -> Source:
    distribution = entry.dist
    if distribution is None:
        return Source(entry.name, "an unknown package", "?")
    return Source(entry.name, distribution.name, distribution.version)


def _look_up(offered: Mapping[str, F], key: str, name: str, kind: str) -> F:
    if key in offered:
        return offered[key]
    known = ", ".join(sorted(offered))
    what = f"no plugin offers the {kind} `{name}`{suggestion(name, offered)}; there are: {known}"
    raise PluginError(Problem("", "", what, "install the package that brings it", kind="plugin"))


def _clash(hook: str, key: object, first: str, second: str) -> None:
    name = " ".join(key) if isinstance(key, tuple) else str(key)
    what = f"`{name}` of {hook} is offered by both {first} and {second}"
    fix = f"switch one off with {DISABLE_VARIABLE}={second}"
    raise PluginError(Problem("", "", what, fix, kind="plugin.clash"))
