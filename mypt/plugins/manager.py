"""Look up what plugins offer, and find those that are installed.

The built-in plugins are registered immediately. Those of installed packages are imported when
something is looked up that no built-in plugin offers, or when all plugins must be listed: a command
that needs none of them does not wait for them and cannot be broken by one.
"""

from __future__ import annotations

import importlib
import os
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve

from mypt.format.errors import PluginError
from mypt.format.lazy_mapping import LazyMapping
from mypt.format.names.packages import normalize_package_name
from mypt.format.rules.arguments import MAPPING, TEXT, checked, optional, sequence_of, where
from mypt.format.version import DISTRIBUTION, MYPT_VERSION
from mypt.plugins import hookspecs
from mypt.plugins.faults import DISABLE_VARIABLE, Fault, PluginOrigin, make_origin
from mypt.plugins.loader import PluginLoader
from mypt.plugins.packages import find_entry_points
from mypt.plugins.registry import HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import ReaderFactory
    from mypt.format.rules.plugin_settings import Setting, Settings
    from mypt.plugins.contracts.command import CommandFactory
    from mypt.plugins.contracts.data_source import DataSourceFactory
    from mypt.plugins.contracts.exporter import ExporterFactory
    from mypt.plugins.contracts.guard import GuardFactory
    from mypt.plugins.contracts.part import PartFactory
    from mypt.plugins.contracts.sink import SinkFactory
    from mypt.plugins.contracts.tokenizer import TokenizerFactory
    from mypt.plugins.contracts.training import LossFactory, OptimizerFactory, ScheduleFactory
    from mypt.plugins.decoding.logit_processors import LogitProcessorFactory
    from mypt.plugins.packages import FoundEntryPoints
    from mypt.plugins.registry import HookRegistry

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

F = TypeVar("F")
K = TypeVar("K")


_RULES = {
    "disabled": sequence_of(TEXT, "a list of names"),
    "report": optional(where(callable, "a function")),
}


class Plugins(PluginLoader):
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
        super().__init__(disabled, report, hooks, arguments or {})

    def load_all(self) -> None:
        """Load every plugin and call its hooks, so that `faults` is complete."""
        from mypt.plugins.offers.clashes import find_clashes

        self.load_waiting()
        for hook in HOOKS:
            self.collect(hook)
        for fault in find_clashes(self):
            self._note_once(fault)

    def registries(self) -> Mapping[str, HookRegistry]:
        """Load every plugin, and return the registry of each hook."""
        self.load_all()
        return self.offered_by_hook

    def registry(self, hook: str) -> HookRegistry:
        """Load every plugin, and return the registry of one hook; the others are not called."""
        self.load_waiting()
        self.collect(hook)
        return self.offered_by_hook[hook]

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
        """Legacy readers by name, collected on first use; the built-in ones come first."""
        return LazyMapping({}, lambda: self._make_mapping("mypt_legacy_readers"))

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
        parts = self.collect("mypt_parts").items()
        known = {key: part.layout for key, part in parts}
        return LazyMapping(known, lambda: {key: part.layout for key, part in self.parts.items()})

    @cached_property
    def settings(self) -> Settings:
        """The schemas of plugins' settings, for validation."""
        from mypt.plugins.offers.settings import collect_settings

        def collect_all() -> dict[tuple[str, str], Setting]:
            self.load_all()
            return collect_settings(self)

        return LazyMapping(collect_settings(self), collect_all)

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
        if key not in self.collect(hook):
            self.load_all()
        registry = self.offered_by_hook[hook]
        return registry.sources[key] if key in registry.factories else None

    def version_of(self, package: str) -> str | None:
        """Return the version of a package whose plugins are available; otherwise None."""
        self.load_all()
        wanted = normalize_package_name(package)
        found = (source for source in self.sources.values() if source.section == wanted)
        return next((source.version for source in found), None)

    def _look_up(self, hook: str, offered: Mapping[K, F], key: K) -> F:
        if key in offered and key not in self.offered_by_hook[hook].clashes:
            return offered[key]
        unheard = [fault.problem for fault in self.faults if fault.kind == "broken"]
        raise PluginError(self.offered_by_hook[hook].explain_missing(key), *unheard)

    def _make_mapping(self, hook: str) -> Mapping[Any, Any]:
        def collect_all() -> Mapping[Any, Any]:
            self.load_all()
            return self.offered_by_hook[hook].offered

        self.collect(hook)
        return LazyMapping(self.offered_by_hook[hook].offered, collect_all)


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
    _load_installed(plugins, find_entry_points())
    return plugins


def load_command_plugins(
    found: FoundEntryPoints,
    disabled: Iterable[str] = (),
    *,
    report: Callable[[Fault], None] | None = None,
) -> Plugins:
    """Register the commands of mypt, and plugins that say that they have some.

    It is for the list of commands, which should not wait for all plugins.

    Args:
        found: The entry points of such plugins.
        disabled: See `load_plugins`.
        report: See `load_plugins`.
    """
    plugins = Plugins(_list_off(disabled), report=report)
    load_built_in(plugins, (COMMANDS_PLUGIN,))
    _load_installed(plugins, found)
    return plugins


def _list_off(disabled: Iterable[str]) -> set[str]:
    named = os.environ.get(DISABLE_VARIABLE, "").split(",")
    return {*disabled, *(name.strip() for name in named if name.strip())}


def _load_installed(plugins: Plugins, found: FoundEntryPoints) -> None:
    for distribution, error in found.unreadable:
        what = f"its entry points cannot be read ({type(error).__name__}: {error})"
        plugins.note(Fault(make_origin("?", distribution), what))
    # A plugin that is in several groups is loaded once.
    entries = {
        (make_origin(entry.name, entry.dist), entry.value): entry for entry in found.entry_points
    }
    for origin, value in sorted(entries, key=lambda key: (key[0].name, key[0].package)):
        module = value.partition(":")[0].partition(".")[0]
        plugins.load_later(evolve(origin, module=module), entries[origin, value].load)
