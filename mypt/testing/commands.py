"""Check a command: its name, its help and its options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
from click.testing import CliRunner

from mypt.plugins.contracts.command import CommandFactory
from mypt.testing.expectations import check_fields, checking_results, during, expect

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"[a-z][a-z0-9-]*")


@during("the command")
def check_command(factory: CommandFactory, arguments: Sequence[str] = ("--help",)) -> str:
    """Check that a command is one of mypt's kind, and run it.

    Args:
        factory: As the plugin offers it.
        arguments: What stands behind its name; it has to succeed.

    Returns:
        What it prints.

    Raises:
        ContractError: The command violates its contract.
    """
    check_fields(factory, CommandFactory)
    expect(_NAME.fullmatch(factory.name) is not None, f"its name is {factory.name!r}")
    expect("\n" not in factory.help, "its help has more than one line")
    command = checking_results(factory).load()
    expect(bool(command.help), "it has no help of its own; give its function a docstring")
    for option in command.params:
        if isinstance(option, click.Option):
            with_hyphen = [name for name in option.opts if "-" in name.lstrip("-")]
            expect(not with_hyphen, f"its option {with_hyphen} should be named with underscores")
    run = CliRunner().invoke(command, [*arguments], prog_name=f"mypt {factory.name}")
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    expect(run.exit_code == 0, f"it ends with exit code {run.exit_code}: {run.output.strip()}")
    return run.output
