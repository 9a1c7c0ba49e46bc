"""Find, load and look up plugins; a broken plugin does not affect anything else.

The built-in plugins are registered immediately. Those of installed packages are imported when
something is looked up that no built-in plugin offers, or when all plugins must be listed: a command
that needs none of them does not wait for them and cannot be broken by one.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from contextlib import redirect_stdout
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy
from attrs import evolve

from mypt.format.errors import PluginError, Problem, log_traceback
from mypt.format.lazy_mapping import LazyMapping
from mypt.format.rules.arguments import MAPPING, TEXT, checked, optional, sequence_of, where
from mypt.format.rules.plugin_sections import describe_choice, list_clashes
from mypt.format.rules.plugin_settings import (
    DATA_SOURCE,
    GUARDS,
    LOSS,
    LR_SCHEDULE,
    OPTIMIZER,
    PLUGINS,
    SINKS,
    TOKEN_KIND,
    TOKENIZATION,
    Setting,
    former_key,
)
from mypt.format.rules.requirements import normalize_package_name
from mypt.format.version import DISTRIBUTION, MYPT_VERSION
from mypt.plugins import hookspecs
from mypt.plugins.discovery import (
    COMMANDS_GROUP,
    GROUPS,
    find_installed_plugins,
    find_unmet,
    make_fault,
)
from mypt.plugins.faults import (
    DISABLE_VARIABLE,
    Fault,
    FaultKind,
    PluginOrigin,
)
from mypt.plugins.isolation import summarize_error
from mypt.plugins.registry import HOOKS, HookRegistry, accept_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import ReaderFactory
    from mypt.format.rules.plugin_settings import Settings
    from mypt.plugins.contracts.command import CommandFactory
    from mypt.plugins.contracts.data_source import DataSourceFactory
    from mypt.plugins.contracts.exporter import ExporterFactory
    from mypt.plugins.contracts.guard import GuardFactory
    from mypt.plugins.contracts.part import PartFactory
    from mypt.plugins.contracts.sink import SinkFactory
    from mypt.plugins.contracts.tokenizer import TokenizerFactory
    from mypt.plugins.contracts.training import LossFactory, OptimizerFactory, ScheduleFactory
    from mypt.plugins.decoding.logit_processors import LogitProcessorFactory

COMMANDS_PLUGIN = "mypt.cli.plugin"
BUILT_IN = (
    "mypt.tokenizers.plugin",
    "mypt.model.plugin",
    "mypt.data.plugin",
    "mypt.engine.plugin",
    "mypt.format.readers.plugin",
    "mypt.export.plugin",
    COMMANDS_PLUGIN,
)
SLOW_S = 1.0
_FORMER_KIND = former_key(TOKEN_KIND, "")[0]

F = TypeVar("F")
K = TypeVar("K")


_RULES = {
    "disabled": sequence_of(TEXT, "a list of names"),
    "report": optional(where(callable, "a function")),
}


class Plugins:
    """The registered plugins, looked up by what they offer.

    Build one with `load_plugins` and pass it on; nothing here is global.

    Attributes:
        disabled: Names of plugins and packages that are disabled.
        off: Plugins that were found but are disabled.
        faults: Faults of plugins, in the order in which they were found.
        sources: The registered plugins, by name.
    """

    @checked(**_RULES, arguments=optional(MAPPING))
    def __init__(
        self,
        disabled: Iterable[str] = (),
        *,
        report: Callable[[Fault], None] | None = None,
        hooks: ModuleType | type = hookspecs,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Start without plugins.

        Args:
            disabled: Names of plugins, or of packages, not to load.
            report: Called once for each fault, when it is found.
            hooks: The module or class with the hook specifications.
            arguments: Arguments for the hooks; each gets those that it names.
        """
        self.disabled = frozenset(map(normalize_package_name, disabled))
        self.off: list[PluginOrigin] = []
        self.faults: list[Fault] = []
        self.sources: dict[str, PluginOrigin] = {}
        self._report = report
        self._arguments = arguments or {}
        self._waiting: list[tuple[PluginOrigin, Callable[[], Any]]] = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hooks)
        self._registries = {name: HookRegistry(hook) for name, hook in HOOKS.items()}
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
            if self._manager.has_plugin(source.name):
                self._manager.unregister(name=source.name)
            if not isinstance(error, (pluggy.PluginValidationError, ValueError)):
                raise
            what = str(error).splitlines()[-1]
            fix = "compare its hooks with the reference of hooks"
            raise PluginError(Problem("", str(source), what, fix, kind="plugin")) from error
        self.sources[source.name] = source

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

    def load_all(self) -> None:
        """Load every plugin and call its hooks, so that `faults` is complete."""
        while self._waiting:
            self.load(*self._waiting.pop(0))
        for hook in HOOKS:
            self._collect(hook)
        for name, plugin in self._manager.list_name_plugin():
            source = self.sources[name]
            if not source.is_built_in and not self._manager.get_hookcallers(plugin):
                self._note_once(Fault(source, "offers nothing; check its `@hookimpl` decorators"))
        self._note_clashes()
        self._note_former_names()

    def registries(self) -> Mapping[str, HookRegistry]:
        """Load every plugin, and return the registry of each hook."""
        self.load_all()
        return self._registries

    @cached_property
    def tokenizers(self) -> Mapping[str, TokenizerFactory]:
        """Tokenizers by `token_kind`."""
        return self._make_mapping("mypt_tokenizers")

    @cached_property
    def parts(self) -> Mapping[tuple[str, str], PartFactory]:
        """Architecture parts by slot and name."""
        return self._make_mapping("mypt_parts")

    @cached_property
    def optimizers(self) -> Mapping[str, OptimizerFactory]:
        """Optimizers by name."""
        return self._make_mapping("mypt_optimizers")

    @cached_property
    def schedules(self) -> Mapping[str, ScheduleFactory]:
        """Learning-rate schedules by name."""
        return self._make_mapping("mypt_schedules")

    @cached_property
    def losses(self) -> Mapping[str, LossFactory]:
        """Training losses by name."""
        return self._make_mapping("mypt_losses")

    @cached_property
    def data_sources(self) -> Mapping[str, DataSourceFactory]:
        """Forms of files with texts by name; the built-in ones come first."""
        return self._make_mapping("mypt_data_sources")

    @cached_property
    def guards(self) -> Mapping[str, GuardFactory]:
        """Gold guards by name."""
        return self._make_mapping("mypt_gold_guards")

    @cached_property
    def sinks(self) -> Mapping[str, SinkFactory]:
        """Log sinks by name."""
        return self._make_mapping("mypt_log_sinks")

    @cached_property
    def readers(self) -> Mapping[str, ReaderFactory]:
        """Legacy readers by name; the built-in ones come first."""
        return self._make_mapping("mypt_legacy_readers")

    @cached_property
    def exporters(self) -> Mapping[str, ExporterFactory]:
        """Exporters by name; the built-in ones come first."""
        return self._make_mapping("mypt_exporters")

    @cached_property
    def logit_processors(self) -> Mapping[str, LogitProcessorFactory]:
        """Logit processors by name."""
        return self._make_mapping("mypt_logit_processors")

    @cached_property
    def commands(self) -> Mapping[str, CommandFactory]:
        """Commands by name; the built-in ones come first."""
        return self._make_mapping("mypt_commands")

    @cached_property
    def layouts(self) -> Layouts:
        """The tensors of every registered part, for validation."""
        parts = self._collect("mypt_parts").items()
        known = {key: part.layout for key, part in parts}
        return LazyMapping(known, lambda: {key: part.layout for key, part in self.parts.items()})

    @cached_property
    def settings(self) -> Settings:
        """The schemas of plugins' settings, for validation."""

        def collect_all() -> dict[tuple[str, str], Setting]:
            self.load_all()
            return self._collect_settings()

        return LazyMapping(self._collect_settings(), collect_all)

    @checked(token_kind=TEXT)
    def tokenizer(self, token_kind: str) -> TokenizerFactory:
        """Look up a tokenizer.

        Raises:
            PluginError: No plugin offers it, or more than one does.
        """
        return self._look_up("mypt_tokenizers", self.tokenizers, token_kind)

    @checked(slot=TEXT, name=TEXT)
    def part(self, slot: str, name: str) -> PartFactory:
        """Look up an architecture part.

        Raises:
            PluginError: No plugin offers it, or more than one does.
        """
        return self._look_up("mypt_parts", self.parts, (slot, name))

    @checked(name=TEXT)
    def optimizer(self, name: str) -> OptimizerFactory:
        """Look up an optimizer.

        Raises:
            PluginError: No plugin offers it, or more than one does.
        """
        return self._look_up("mypt_optimizers", self.optimizers, name)

    @checked(name=TEXT)
    def schedule(self, name: str) -> ScheduleFactory:
        """Look up a learning-rate schedule.

        Raises:
            PluginError: No plugin offers it, or more than one does.
        """
        return self._look_up("mypt_schedules", self.schedules, name)

    @checked(name=TEXT)
    def loss(self, name: str) -> LossFactory:
        """Look up a training loss.

        Raises:
            PluginError: No plugin offers it, or more than one does.
        """
        return self._look_up("mypt_losses", self.losses, name)

    @checked(name=TEXT)
    def data_source(self, name: str) -> DataSourceFactory:
        """Look up a data source.

        Raises:
            PluginError: No plugin offers it, or more than one does.
        """
        return self._look_up("mypt_data_sources", self.data_sources, name)

    @checked(name=TEXT)
    def exporter(self, name: str) -> ExporterFactory:
        """Look up an exporter.

        Raises:
            PluginError: No plugin offers it, or more than one does.
        """
        return self._look_up("mypt_exporters", self.exporters, name)

    @checked(name=TEXT)
    def logit_processor(self, name: str) -> LogitProcessorFactory:
        """Look up a logit processor.

        Raises:
            PluginError: No plugin offers it, or more than one does.
        """
        return self._look_up("mypt_logit_processors", self.logit_processors, name)

    @checked(name=TEXT)
    def command(self, name: str) -> CommandFactory:
        """Look up a command.

        Raises:
            PluginError: No plugin offers it, or more than one does.
        """
        return self._look_up("mypt_commands", self.commands, name)

    def source_of(self, hook: str, key: object) -> PluginOrigin | None:
        """Return the plugin that offers something, or None if none does."""
        if key not in self._collect(hook):
            self.load_all()
        registry = self._registries[hook]
        return registry.sources[key] if key in registry.factories else None

    def version_of(self, package: str) -> str | None:
        """Return the version of a package whose plugins are available; otherwise None."""
        self.load_all()
        wanted = normalize_package_name(package)
        found = (source for source in self.sources.values() if source.section == wanted)
        return next((source.version for source in found), None)

    def explain_absence(self, package: str) -> tuple[str, str]:
        """Return why a package offers nothing, such as `is not installed`, and what to do."""
        wanted = normalize_package_name(package)
        if wanted in {source.section for source in self.off}:
            return "is disabled", f"remove it from --disable-plugin and {DISABLE_VARIABLE}"
        fault = next((fault for fault in self.faults if fault.source.section == wanted), None)
        if fault is not None:
            return "is broken", f"{fault.remedy}; `mypt plugins` shows what is wrong with it"
        return "is not installed", f"install it: pip install {package}"

    def _look_up(self, hook: str, offered: Mapping[K, F], key: K) -> F:
        if key in offered and key not in self._registries[hook].clashes:
            return offered[key]
        unheard = [fault.problem for fault in self.faults if fault.kind == "broken"]
        raise PluginError(self._registries[hook].explain_missing(key), *unheard)

    def _make_mapping(self, hook: str) -> Mapping[Any, Any]:
        def collect_all() -> Mapping[Any, Any]:
            self.load_all()
            return self._registries[hook].offered

        self._collect(hook)
        return LazyMapping(self._registries[hook].offered, collect_all)

    def _collect(self, hook: str) -> Mapping[Any, Any]:
        """Call a hook of each registered plugin for which it has not been called yet."""
        registry = self._registries[hook]
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

    def _collect_settings(self) -> dict[tuple[str, str], Setting]:
        fields: dict[str, Callable[[Any], tuple[str, str]]] = {
            "mypt_tokenizers": lambda kind: (TOKEN_KIND, kind),
            "mypt_parts": lambda slot_and_name: slot_and_name,
            "mypt_optimizers": lambda name: (OPTIMIZER, name),
            "mypt_schedules": lambda name: (LR_SCHEDULE, name),
            "mypt_losses": lambda name: (LOSS, name),
            "mypt_data_sources": lambda name: (DATA_SOURCE, name),
            "mypt_gold_guards": lambda name: (GUARDS, name),
            "mypt_log_sinks": lambda name: (SINKS, name),
        }
        settings = {
            place(key): _describe_settings(factory, self._registries[hook].sources[key])
            for hook, place in fields.items()
            for key, factory in self._collect(hook).items()
        }
        for kind, factory in self._collect("mypt_tokenizers").items():
            package = settings[TOKEN_KIND, kind].package
            settings[TOKENIZATION, kind] = Setting(package, factory.train_options or {})
        former = self._collect_former(fields, settings)
        for hook, place in fields.items():
            for key in self._registries[hook].contested:
                settings[place(key)] = self._describe_clash(hook, key, "options")
                if hook == "mypt_tokenizers":
                    settings[TOKENIZATION, key] = self._describe_clash(hook, key, "train_options")
        return {**settings, **former, **self._describe_packages()}

    def _collect_former(
        self,
        fields: Mapping[str, Callable[[Any], tuple[str, str]]],
        settings: Mapping[tuple[str, str], Setting],
    ) -> dict[tuple[str, str], Setting]:
        """Return what factories and packages that are here were called before; see `former_key`."""
        former: dict[tuple[str, str], Setting] = {}
        for hook, place in fields.items():
            registry = self._registries[hook]
            for was, claims in registry.find_former().items():
                if len(claims) == 1:
                    now = place(claims[0])
                    former[former_key(*place(was))] = evolve(settings[now], name=now[1])
            for key, factory in registry.factories.items():
                for package in map(normalize_package_name, factory.former_packages):
                    if self._has_given_way(package):
                        packages = Setting(registry.sources[key].package)
                        former.setdefault(former_key(PLUGINS, package), packages)
        kinds = [(was, found) for (field, was), found in former.items() if field == _FORMER_KIND]
        former |= {former_key(TOKENIZATION, was): found for was, found in kinds}
        return former

    def _has_given_way(self, package: str) -> bool:
        """Return whether a package is not here any more, or one of its factories is not used."""
        here = {source.section for source in self.sources.values()}
        superseded = (registry.superseded for registry in self._registries.values())
        return package not in here or any(package in found for found in superseded)

    def _describe_clash(self, hook: str, key: object, options: str) -> Setting:
        """Return the setting of a name that two packages offer: it takes the options of both."""
        registry = self._registries[hook]
        problem = registry.explain_missing(key)
        schemas = [getattr(factory, options) or {} for factory in registry.contested[key]]
        first, *others = (source.section for source in registry.clashes[key])
        why = (problem.what, problem.fix)
        return Setting(first, accept_options(*schemas), names=tuple(others), unusable=why)

    def _describe_packages(self) -> dict[tuple[str, str], Setting]:
        """Return each package with plugins, as the name of a section."""
        faulty = (fault.source for fault in self.faults)
        found: dict[str, list[PluginOrigin]] = {}
        for source in (*self.sources.values(), *self.off, *faulty):
            if not source.is_built_in:
                found.setdefault(source.section, []).append(source)
        works = {source.section for source in self.sources.values()}
        return {
            (PLUGINS, package): Setting(
                package,
                names=(
                    *(name for source in sources for name in (source.name, source.module)),
                    *self._former_packages_of(package),
                ),
                unusable=None if package in works else self.explain_absence(package),
            )
            for package, sources in found.items()
        }

    def _former_packages_of(self, package: str) -> list[str]:
        return [
            normalize_package_name(name)
            for registry in self._registries.values()
            for key, factory in registry.factories.items()
            if registry.sources[key].section == package
            for name in getattr(factory, "former_packages", ())
        ]

    def _note_clashes(self) -> None:
        """Note options that two factories of one package declare, and not alike."""
        settings = self._collect_settings()
        for source in self.sources.values():
            if source.is_built_in:
                continue
            for option, choices in list_clashes(source.section, settings).items():
                both = " and ".join(map(describe_choice, choices))
                what = f"offers {both}, which do not take the same as the option `{option}`"
                self._note_once(Fault(source, what, "clash"))

    def _note_former_names(self) -> None:
        """Note former names that somebody else has now, or that two factories claim."""
        for registry in self._registries.values():
            for was, claims in registry.find_former().items():
                if len(claims) > 1:
                    first, second = (registry.sources[key] for key in claims[:2])
                    noun = registry.hook.noun(was)
                    what = f"says that it offered the {noun}, as {first} does"
                    self._note_once(Fault(second, what, "clash"))
            for key, factory in registry.factories.items():
                for name in getattr(factory, "former_names", ()):
                    was = (key[0], name) if isinstance(key, tuple) else name
                    owner, source = registry.sources.get(was), registry.sources[key]
                    if owner is None or owner == source or _is_predecessor(owner, factory):
                        continue
                    what = (
                        f"says that it offered the {registry.hook.noun(was)}, which {owner} offers"
                    )
                    self._note_once(Fault(source, what, "clash"))

    def _note_once(self, fault: Fault) -> None:
        if fault not in self.faults:
            self.note(fault)

    def note(self, fault: Fault) -> None:
        """Record a fault of a plugin, and report it."""
        self.faults.append(fault)
        if self._report is not None:
            self._report(fault)


def _describe_settings(factory: Any, source: PluginOrigin) -> Setting:
    return Setting(
        source.section,
        factory.options,
        declaration=getattr(factory, "declaration", None),
        former_packages=tuple(map(normalize_package_name, factory.former_packages)),
        update=factory.update,
    )


def _is_predecessor(source: PluginOrigin, factory: Any) -> bool:
    return source.section in map(normalize_package_name, factory.former_packages)


def load_built_in(plugins: Plugins, modules: Iterable[str] = BUILT_IN) -> None:
    """Register the built-in plugins, or some of them."""
    for module in modules:
        importer = partial(importlib.import_module, module)
        plugins.load(PluginOrigin(module, DISTRIBUTION, MYPT_VERSION), importer)


@checked(**_RULES)
def load_plugins(
    disabled: Iterable[str] = (), *, report: Callable[[Fault], None] | None = None
) -> Plugins:
    """Register the built-in plugins, and find those of installed packages.

    Args:
        disabled: Names of plugins or packages not to load, in addition to those in the environment
            variable `MYPT_DISABLE_PLUGINS`, separated by commas.
        report: Called once for each fault of a plugin, when it is found. A plugin of another
            package is loaded, and its faults are found, when something is looked up that it may
            offer.
    """
    plugins = Plugins(_list_off(disabled), report=report)
    load_built_in(plugins)
    _load_installed(plugins, GROUPS)
    return plugins


def load_command_plugins(
    disabled: Iterable[str] = (), *, report: Callable[[Fault], None] | None = None
) -> Plugins:
    """Register the commands of mypt and find those of plugins that say that they have some.

    It is for the list of commands, which should not wait for all plugins.

    Args:
        disabled: See `load_plugins`.
        report: See `load_plugins`.
    """
    plugins = Plugins(_list_off(disabled), report=report)
    load_built_in(plugins, (COMMANDS_PLUGIN,))
    _load_installed(plugins, (COMMANDS_GROUP,))
    return plugins


def _list_off(disabled: Iterable[str]) -> set[str]:
    named = os.environ.get(DISABLE_VARIABLE, "").split(",")
    return {*disabled, *(name.strip() for name in named if name.strip())}


def _load_installed(plugins: Plugins, groups: Iterable[str]) -> None:
    for found in find_installed_plugins(groups):
        if isinstance(found, Fault):
            plugins.note(found)
        else:
            plugins.load_later(*found)
