from mypt.cli.command_table import COMMANDS
from mypt.cli.main import mypt_group
from mypt.testing import check_command


def test_the_built_in_commands_are_offered_through_the_hook(plugins):
    assert list(plugins.commands)[: len(COMMANDS)] == list(COMMANDS)
    assert "Usage: mypt list" in check_command(plugins.command("list"))
    assert plugins.command("list").load() is mypt_group.get_command(None, "list")
