import click
import pytest

from mypt.plugins import CommandFactory
from mypt.testing import ContractError, check_command


def greet(text="Greet the user.", option="--how_often"):
    @click.command(help=text)
    @click.option(option, "times", default=1)
    def command(times):
        if times > 9:
            message = "too often"
            raise ValueError(message)
        if times > 8:
            raise SystemExit(3)
        click.echo("hello " * times)

    return command


def offer(**changes):
    return CommandFactory(**{"name": "greet", "help": "Greet.", "load": greet, **changes})


def test_a_good_command_is_run():
    assert check_command(offer(), ["--how_often", "2"]) == "hello hello \n"
    assert "mypt greet" in check_command(offer())


@pytest.mark.parametrize(
    ("changes", "arguments", "complaint"),
    [
        ({"name": "Greet me"}, [], "its name is 'Greet me'"),
        ({"help": "One.\nTwo."}, [], "more than one line"),
        ({"help": ""}, [], "`help` is ''"),
        ({"load": lambda: greet}, [], "it returns function, not Command"),
        ({"load": lambda: greet(text=None)}, [], "no help of its own"),
        ({"load": lambda: greet(option="--how-often")}, [], "should be named with underscores"),
        ({}, ["--how_often", "9"], "exit code 3"),
        ({}, ["--how_often", "10"], "ValueError: too often"),
    ],
)
def test_what_a_command_does_wrong_is_said(changes, arguments, complaint):
    with pytest.raises(ContractError, match=complaint.replace("(", r"\(")):
        check_command(offer(**changes), arguments)
