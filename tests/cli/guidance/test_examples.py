import shlex

import click
import pytest

from mypt.cli.guidance.examples import EXAMPLES, with_example
from mypt.cli.main import mypt_group
from mypt.cli.options.suggestions import list_commands


@pytest.mark.parametrize("path", EXAMPLES)
def test_an_example_is_a_whole_command(path):
    command, context, words = mypt_group, click.Context(mypt_group, info_name="mypt"), []
    for word in shlex.split(EXAMPLES[path])[1:]:
        if isinstance(command, click.Group):
            command = command.get_command(context, word)
            context = click.Context(command, parent=context, info_name=word)
        else:
            words.append(word)
    assert context.command_path == path
    command.make_context(context.info_name, words, parent=context.parent)


def test_every_command_that_needs_something_has_an_example():
    context = click.Context(mypt_group, info_name="mypt")
    needing = {
        f"mypt {words}"
        for words, command in list_commands(mypt_group, context)
        if any(p.required for p in command.params) and not isinstance(command, click.Group)
    }
    assert needing
    assert needing <= set(EXAMPLES)


def test_the_example_follows_what_is_missing():
    assert with_example("no", "mypt chat") == "no; for example: mypt chat first"
    assert with_example("no", "mypt unknown") == "no"
