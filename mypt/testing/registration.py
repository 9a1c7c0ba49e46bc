"""Register a plugin as mypt does."""

from __future__ import annotations

from mypt.format.errors import PluginError
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import Plugins, load_built_in


def registered(plugin: object) -> Plugins:
    """Register a module with hooks beside mypt's own, and call all of them.

    Other installed plugins are left out, so that a test gives the same everywhere.

    Args:
        plugin: The module that the package's entry point names.

    Returns:
        What is offered then: `tokenizers`, `guards`, `sinks` and `readers` by name, `parts` by slot
        and name.

    Raises:
        PluginError: With all that is wrong with it: a misspelt hook, a name that mypt has, or what
            is no factory.
    """
    plugins = Plugins()
    load_built_in(plugins)
    plugins.register(plugin, PluginOrigin("checked", "checked", "0"))
    plugins.load_all()
    if plugins.faults:
        raise PluginError(*(fault.problem for fault in plugins.faults))
    return plugins
