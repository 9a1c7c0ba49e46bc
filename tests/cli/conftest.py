"""The command of the format."""

import pytest

from mypt.cli.main import format_group


@pytest.fixture
def cli_format(cli):
    return lambda *arguments: cli(*arguments, group=format_group, name="mypt format")
