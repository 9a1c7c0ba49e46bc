"""What tests of several modules of the engine need."""

import pytest
from torch import distributed

from tests.support.processes.ranks import ranks


@pytest.fixture
def group(monkeypatch):
    """Make this process a group of its own, over gloo."""
    for name, value in ranks(1)[0].items():
        monkeypatch.setenv(name, value)
    distributed.init_process_group("gloo")
    yield
    distributed.destroy_process_group()
