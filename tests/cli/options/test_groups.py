import re

import click

from mypt.cli.commands.train import command
from mypt.cli.options.fields import NO_FLAGS
from mypt.cli.options.groups import GROUPS, GroupedOption, group_options
from mypt.format.schema.check import load_schema

SECTION = re.compile(r"^(\w[\w ]*):\n((?:(?:  .*)?\n)+)", re.MULTILINE)
FLAG = re.compile(r"^  (?:-h, )?(--\w+)", re.MULTILINE)


def read_sections(text):
    """Return the flags under each heading of a help text."""
    return {title: FLAG.findall(body) for title, body in SECTION.findall(text)}


def test_every_option_of_train_is_in_exactly_one_group():
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert all(isinstance(option, GroupedOption) for option in options)
    listed = [option.name for group in group_options(options).values() for option in group]
    assert sorted(listed) == sorted(option.name for option in options)
    assert len(set(listed)) == len(listed)


def test_the_help_of_train_has_a_section_for_each_group_in_order(cli):
    code, out, _ = cli("train", "--help")
    sections = read_sections(out)
    assert code == 0
    assert list(sections) == [*map(str.capitalize, GROUPS), "Other"]
    assert sections.pop("Other") == ["--help"]
    flags = [flag for section in sections.values() for flag in section]
    assert sorted(flags) == sorted(p.opts[0] for p in command.params)
    assert "--learning_rate" in sections["Optimization"]
    assert "--tokenization" in sections["Data"]


def test_the_page_of_commands_has_the_same_groups(cli, root):
    page = (root / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    train = page.partition("\n## mypt train\n")[2].partition("\n## ")[0]
    on_page = {
        part.partition("\n")[0]: re.findall(r"^\| `(--\w+)`", part, re.MULTILINE)
        for part in train.split("\n### ")[1:]
    }
    sections = read_sections(cli("train", "--help")[1])
    del sections["Other"]
    assert on_page == sections


def test_the_schemas_put_every_field_that_is_a_flag_into_a_group():
    training = load_schema("training_state")["$defs"]["training_config"]
    for schema in (load_schema("config"), training, load_schema("preset")):
        for name, field in schema["properties"].items():
            if "x-group" in field and name != "adapter":  # which flags make together
                assert field["x-group"] in GROUPS, name
                assert name not in NO_FLAGS
