import re

import click
import pytest

from mypt.cli.main import mypt_group
from mypt.cli.options.suggestions import list_commands, list_options
from mypt.format.names.counterparts.settings import SETTINGS
from mypt.format.names.lookup import explain_name, find_known

ROWS = [row for rows in SETTINGS.values() for row in rows]
BY_COMMAND = dict(list_commands(mypt_group, click.Context(mypt_group)))
OPTIONS = {words: list_options(command) for words, command in BY_COMMAND.items()}
EVERYWHERE = set().union(*OPTIONS.values())


def describe(row):
    return next(row.names)


@pytest.mark.parametrize("row", ROWS, ids=describe)
def test_what_a_row_leads_to_exists(row):
    for name in [*row.ours.split(), *re.findall(r"\{(\w+)\}", row.how)]:
        assert name in EVERYWHERE, name
    assert row.ours or row.how
    names = [*row.names]
    assert len(set(row.habits.split()) & {*names[: -len(row.habits.split())]}) == 0


@pytest.mark.parametrize("row", ROWS, ids=describe)
def test_every_name_leads_where_its_row_says(row):
    for name in row.names:
        if not row.ours:
            assert explain_name(name, ["x"]).startswith(": "), name
            continue
        places = [known for known in OPTIONS.values() if set(known) & set(row.ours.split())]
        meant = [find_known(name, known) for known in places]
        wanted = [[one for one in row.ours.split() if one in known] for known in places]
        assert any(map(list.__eq__, meant, wanted)), (name, meant)


def test_no_name_of_another_program_is_one_of_ours_where_it_is_looked_up():
    for row in ROWS:
        if row.ours:
            there = [k for k in OPTIONS.values() if set(k) & set(row.ours.split())]
            for name in row.names:
                assert any(name not in known for known in there), name
