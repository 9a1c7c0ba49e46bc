"""Register a plugin as mypt does."""

from __future__ import annotations

from importlib.metadata import entry_points
from types import SimpleNamespace

from mypt.format.errors import PluginError
from mypt.format.version import DISTRIBUTION
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.hookspecs import hookimpl
from mypt.plugins.manager import Plugins, load_built_in
from mypt.plugins.packages import GROUPS
from mypt.plugins.registry import HOOKS

UNINSTALLED = "checked"


def registered(plugin: object, *, package: str | None = None) -> Plugins:
    """Register a module with hooks in addition to mypt's own, and call all of them.

    Other installed plugins are left out, so that a test has the same result everywhere.

    Args:
        plugin: The module that the package's entry point names.
        package: Name of the package, under which the settings of what it offers stand in a config;
            by default that of the installed package whose entry point names the module.

    Returns:
        All that is registered: `tokenizers`, `optimizers`, `schedules`, `losses`, `data_sources`,
        `guards`, `sinks`, `readers`, `exporters`, `commands` and `logit_processors` by name,
        `parts` by slot and name.

    Raises:
        PluginError: The plugin is faulty: a misspelt hook, a name that mypt already uses, or an
            object that is not a factory. All faults are listed.
    """
    plugins = Plugins()
    load_built_in(plugins)
    plugins.register(plugin, PluginOrigin(UNINSTALLED, package or _find_package(plugin), "0"))
    plugins.load_all()
    if plugins.faults:
        raise PluginError(*(fault.problem for fault in plugins.faults))
    return plugins


def register_beside(factory: object, package: str | None = None) -> Plugins:
    """Register one factory in addition to what comes with mypt; it is used instead of its own.

    Args:
        factory: The factory.
        package: Name of its package, where it has settings.
    """
    hook = next(name for name, hook in HOOKS.items() if hook.contract is type(factory))
    plugins = Plugins()
    offered = SimpleNamespace(**{hook: hookimpl(lambda: [factory])})
    plugins.register(offered, PluginOrigin(UNINSTALLED, package or DISTRIBUTION, "0"))
    load_built_in(plugins)
    return plugins


def _find_package(plugin: object) -> str:
    module = getattr(plugin, "__name__", None)
    for entry in (entry for group in GROUPS for entry in entry_points(group=group)):
        if entry.module == module and entry.dist is not None:
            return entry.dist.name
    return UNINSTALLED
