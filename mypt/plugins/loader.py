"""Load plugins one by one; a broken one does not affect anything else.

Those that wait are imported when something is looked up that no other plugin offers: a command that
needs none of them does not wait for them and cannot be broken by one.
"""

from __future__ import annotations

import sys
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pluggy

from mypt.format.errors import PluginError, Problem, log_traceback, suggestion
from mypt.format.names.packages import normalize_package_name
from mypt.format.version import PROJECT
from mypt.plugins.faults import (
    DISABLE_VARIABLE,
    Fault,
    FaultKind,
    PluginOrigin,
    make_fault,
)
from mypt.plugins.isolation import summarize_error
from mypt.plugins.packages import find_unmet
from mypt.plugins.registry import HOOKS, HookRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

SLOW_S = 1.0


class PluginLoader:
    """The plugins that were found, and what those offer that were loaded.

    Attributes:
        disabled: Names of plugins and packages that are disabled.
        off: Plugins that were found but are disabled.
        faults: Faults of plugins, in the order in which they were found.
        sources: The registered plugins, by name.
        offered_by_hook: What those offer whose hook was called, by the name of the hook.
    """

    def __init__(
        self,
        disabled: Iterable[str],
        report: Callable[[Fault], None] | None,
        hooks: ModuleType | type,
        arguments: Mapping[str, Any],
    ) -> None:
        """Start without plugins; see `Plugins` for the arguments."""
        self.disabled = frozenset(map(normalize_package_name, disabled))
        self.off: list[PluginOrigin] = []
        self.faults: list[Fault] = []
        self.sources: dict[str, PluginOrigin] = {}
        self._report = report
        self._arguments = arguments
        self._waiting: list[tuple[PluginOrigin, Callable[[], Any]]] = []
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hooks)
        self.offered_by_hook = {name: HookRegistry(hook) for name, hook in HOOKS.items()}
        self._called: set[tuple[str, str]] = set()

    def has(self, name: str) -> bool:
        """Return whether a plugin, or a package with plugins, with that name was found."""
        waiting = (source for source, _ in self._waiting)
        found = (*self.sources.values(), *self.off, *(f.source for f in self.faults), *waiting)
        names = {
            normalize_package_name(word)
            for source in found
            for word in (source.name, source.package)
        }
        return normalize_package_name(name) in names

    def register(self, plugin: object, source: PluginOrigin) -> None:
        """Register one plugin.

        Raises:
            PluginError: Its name is taken, it has a hook that mypt does not know, or a hook with
                arguments that mypt does not pass.
        """
        taken = self.sources.get(source.name)
        if taken is not None:
            what = f"has the same name as {taken}, which is used instead"
            fix = "rename one of them, or disable it by the name of its package"
            raise PluginError(Problem("", str(source), what, fix, kind="plugin.duplicate"))
        try:
            self._manager.register(plugin, name=source.name)
            self._manager.check_pending()
        except BaseException as error:
            unknown = self._find_unknown_hook(plugin)
            if self._manager.has_plugin(source.name):
                self._manager.unregister(name=source.name)
            if not isinstance(error, (pluggy.PluginValidationError, ValueError)):
                raise
            what = unknown or str(error).splitlines()[-1]
            fix = "compare its hooks with the reference of hooks"
            raise PluginError(Problem("", str(source), what, fix, kind="plugin")) from error
        self.sources[source.name] = source

    def _find_unknown_hook(self, plugin: object) -> str | None:
        """Say which hook of a registered plugin mypt does not have; None where it has them all."""
        for caller in self._manager.get_hookcallers(plugin) or ():
            if not caller.has_spec():
                near = suggestion(caller.name, HOOKS)
                return f"has a hook that mypt does not know: {caller.name}{near}"
        return None

    def load(self, source: PluginOrigin, importer: Callable[[], Any]) -> None:
        """Import and register one plugin, recording its faults."""
        if {
            normalize_package_name(source.name),
            source.section,
        } & self.disabled:
            self.off.append(source)
            return
        unmet = None if source.is_built_in else find_unmet(source.package, only_mypt=True)
        if unmet is not None:
            self.note(Fault(source, f"is not loaded: {unmet.what}", remedy=unmet.fix))
            return
        begin = time.monotonic()
        try:
            with redirect_stdout(sys.stderr):  # stdout is for a command's output
                self.register(importer(), source)
        except KeyboardInterrupt:
            raise
        except PluginError as error:
            is_taken = error.problems[0].kind == "plugin.duplicate"
            kind: FaultKind = "duplicate" if is_taken else "broken"
            self.note(Fault(source, f"cannot be used: {error.problems[0].what}", kind))
        except BaseException as error:  # third-party code may raise anything
            log_traceback(error)
            self.note(make_fault(source, f"cannot be loaded: {summarize_error(error)}"))
        else:
            elapsed_s = time.monotonic() - begin
            if elapsed_s > SLOW_S and not source.is_built_in:  # a slow built-in: a slow machine
                self.note(Fault(source, f"took {elapsed_s:.1f} s to import", "slow"))

    def load_later(self, source: PluginOrigin, importer: Callable[[], Any]) -> None:
        """Import and register one plugin when something is looked up that it may offer."""
        self._waiting.append((source, importer))

    def load_waiting(self) -> None:
        """Load the plugins that wait, and note which of them have no hooks."""
        while self._waiting:
            self.load(*self._waiting.pop(0))
        for name, plugin in self._manager.list_name_plugin():
            source = self.sources[name]
            if not source.is_built_in and not self._manager.get_hookcallers(plugin):
                self._note_once(Fault(source, "offers nothing; check its `@hookimpl` decorators"))

    def collect(self, hook: str) -> Mapping[Any, Any]:
        """Return what a hook offers, calling it of each plugin for which it was not called yet."""
        registry = self.offered_by_hook[hook]
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            plugin = implementation.plugin_name
            if (hook, plugin) in self._called:
                continue
            self._called.add((hook, plugin))
            for factory in self._call_hook(implementation, self.sources[plugin]):
                fault = registry.add(factory, self.sources[plugin], self._note_once)
                if fault is not None:
                    self.note(fault)
        return registry.factories

    def _call_hook(self, implementation: pluggy.HookImpl, source: PluginOrigin) -> list[Any]:
        given = {name: self._arguments[name] for name in implementation.argnames}
        hook: Callable[..., Any] = implementation.function
        try:
            with redirect_stdout(sys.stderr):
                return list(hook(**given))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # third-party code may raise anything
            log_traceback(error)
            what = f"failed in its hook {hook.__name__}: {summarize_error(error)}"
            self.note(make_fault(source, what))
            return []

    def explain_absence(self, package: str) -> tuple[str, str]:
        """Return why a package offers nothing, such as `is not installed`, and what to do."""
        wanted = normalize_package_name(package)
        if wanted in {source.section for source in self.off}:
            return "is disabled", f"remove it from --disable-plugin and {DISABLE_VARIABLE}"
        fault = next((fault for fault in self.faults if fault.source.section == wanted), None)
        if fault is not None:
            return "is broken", f"{fault.remedy}; `mypt plugins` shows what is wrong with it"
        return "is not installed", f"install it: pip install {package}"

    def _note_once(self, fault: Fault) -> None:
        """Record a fault that may have been found before."""
        if fault not in self.faults:
            self.note(fault)

    def note(self, fault: Fault) -> None:
        """Record a fault of a plugin, and report it."""
        self.faults.append(fault)
        if self._report is not None:
            self._report(fault)
