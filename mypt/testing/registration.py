"""Register a plugin as mypt does."""

from __future__ import annotations

from mypt.format.errors import PluginError
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import Plugins, load_built_in


def registered(plugin: object) -> Plugins:
    """Register a module with hooks in addition to mypt's own, and call all of them.

    Other installed plugins are left out, so that a test has the same result everywhere.

    Args:
        plugin: The module that the package's entry point names.

    Returns:
        All that is registered: `tokenizers`, `guards`, `sinks` and `readers` by name, `parts` by
        slot and name.

    Raises:
        PluginError: The plugin is faulty: a misspelt hook, a name that mypt already uses, or an
            object that is not a factory. All faults are listed.
    """
    plugins = Plugins()
    load_built_in(plugins)
    plugins.register(plugin, PluginOrigin("checked", "checked", "0"))
    plugins.load_all()
    if plugins.faults:
        raise PluginError(*(fault.problem for fault in plugins.faults))
    return plugins
