"""What the tests of plugins share."""

import pytest

from mypt.plugins.manager import load_plugins
from tests.support.installed import others


@pytest.fixture
def plugins(monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    return load_plugins()
