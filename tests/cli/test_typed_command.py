import click

from mypt.cli.main import LazyGroup
from mypt.cli.typed_command import typed_command


def test_the_words_are_those_of_the_whole_command_line():
    seen = []

    class Group(LazyGroup):
        def get_command(self, ctx, cmd_name):
            return click.command("say", params=[click.Option(["--loud"])])(
                lambda **_: seen.append(typed_command())
            )

    words = ["--disable-plugin", "acme", "say", "--loud", "a b"]
    Group("mypt", {"say": ("", "")}, "").main(words, standalone_mode=False)
    assert seen == [("mypt", *words)]


def test_a_command_that_is_called_otherwise_was_not_typed():
    seen = []
    command = click.command("say")(lambda: seen.append(typed_command()))
    command.main([], standalone_mode=False)
    assert seen == [None]
