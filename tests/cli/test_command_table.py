import importlib

import pytest

from mypt.cli.command_table import COMMANDS, FORMAT_COMMANDS


@pytest.mark.parametrize("module", [module for module, _ in COMMANDS.values()])
def test_every_module_of_the_table_has_a_command(module):
    assert importlib.import_module(module).command.help


def test_every_command_says_what_it_does_in_one_sentence():
    for _, text in (*COMMANDS.values(), *FORMAT_COMMANDS.values()):
        assert text.endswith(".")
        assert "\n" not in text
