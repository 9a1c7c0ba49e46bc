import re
from itertools import chain

import click
import pytest

from mypt.cli.main import mypt_group
from mypt.cli.options.suggestions import list_commands, list_options
from mypt.format.names.counterparts.commands import COMMANDS
from mypt.format.names.counterparts.settings import SETTINGS
from mypt.format.names.lookup import find_command

BY_COMMAND = dict(list_commands(mypt_group, click.Context(mypt_group)))
EVERYWHERE = set().union(*map(list_options, BY_COMMAND.values()))


def describe(row):
    return next(row.names)


@pytest.mark.parametrize("row", [row for row in COMMANDS if row.ours], ids=describe)
def test_every_command_of_another_program_leads_to_one_of_ours(row):
    assert row.ours in BY_COMMAND
    for name in row.names:
        found = find_command(name, BY_COMMAND)
        assert found is not None
        assert found.ours == row.ours, name


def test_commands_that_the_advice_names_exist():
    for row in chain(COMMANDS, *SETTINGS.values()):
        for words in re.findall(r"`mypt ([a-z ]+?)(?: [A-Z-].*?)?`", row.how):
            assert words in BY_COMMAND, words
        for flag in re.findall(r"--(\w+)", row.how):
            assert flag in EVERYWHERE | {"nproc", "help", "version"}, flag
