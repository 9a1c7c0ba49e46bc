"""Run mypt with another system's half of `mypt.format.storage.operating_system`."""

import sys
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from unittest import mock

from mypt.format.storage import operating_system
from tests.support.processes.child import Child

NAME = operating_system.__name__


def load_as_on(platform, modules):
    """Load the module as Python does on another platform.

    Args:
        platform: As `sys.platform` has it.
        modules: The modules that only that platform has, by name; None for one that it lacks.
    """
    spec = spec_from_file_location(NAME, operating_system.__file__)
    other = module_from_spec(spec)
    with mock.patch.dict(sys.modules, modules), mock.patch.object(sys, "platform", platform):
        spec.loader.exec_module(other)
    return other


@contextmanager
def exchanged(other):
    """Exchange each reference that mypt's modules have to a function of the real module."""
    before = dict(vars(operating_system))
    with mock.patch.dict(sys.modules, {NAME: other}):
        done = []
        for module in [m for name, m in sys.modules.items() if name.partition(".")[0] == "mypt"]:
            for name in set(vars(module)) & set(vars(other)):
                if not name.startswith("__") and vars(module)[name] is before.get(name):
                    done.append((module, name, before[name]))
                    setattr(module, name, getattr(other, name))
        try:
            yield
        finally:
            for module, name, value in done:
                setattr(module, name, value)


def on(system, work):
    """Do something in a fork of this process that has become another system; give its text.

    Args:
        system: `on_windows` or `on_macos`.
        work: Takes nothing and returns a text.

    Raises:
        AssertionError: It raised something; the text is the traceback.
    """

    def there():
        with system():
            return f"{work()}"

    said = Child(there).wait()
    assert said is not None, "it was killed"
    assert not said.startswith("Traceback"), said
    return said
