"""A grid becomes as many tables as the width asks for, and loses no cell."""

import io

import pytest
from rich.console import Console

from mypt.cli.tables import Grid, fit_either_way, fit_tables


def grid_of(columns, rows=3):
    names = [f"model_number_{n}" for n in range(columns)]
    cells = [(f"setting.{row}", *(f"v{row}.{n}" for n in range(columns))) for row in range(rows)]
    return Grid(title="Settings", heads=("", *names), rows=tuple(cells))


def printed(tables, width):
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for table in tables:
        console.print(table)
    return stream.getvalue()


def test_what_fits_is_one_table():
    assert len(fit_tables(grid_of(4), 120)) == 1


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_word_is_broken_and_no_line_is_longer_than_the_terminal(width):
    grid = grid_of(9)
    text = printed(fit_tables(grid, width), width)
    assert max(map(len, text.splitlines())) <= width
    for row in grid.rows:
        assert all(cell in text for cell in row)
    assert all(head in text for head in grid.heads)
    assert text.count("Settings") == 1


def test_many_models_with_few_settings_are_rows():
    text = printed(fit_either_way(grid_of(9, rows=2), 60), 60)
    assert ["model_number_8", "v0.8", "v1.8"] in [line.split() for line in text.splitlines()]


def test_a_cell_wider_than_the_terminal_is_wrapped():
    grid = Grid(title="", heads=("", "a"), rows=(("x", "y" * 100),))
    text = printed(fit_tables(grid, 40), 40)
    assert text.count("y") == 100
    assert max(map(len, text.splitlines())) <= 40
