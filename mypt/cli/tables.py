"""Tables that fit into a terminal of any width."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.errors import escape_controls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

_MOST_WRAPPED = 24  # characters of a column that wraps, at most, where room is scarce
_AROUND = 3  # characters between two columns


@frozen(kw_only=True)
class Grid:
    """Cells with a heading for each column; the first column names the rows.

    Attributes:
        title: What stands above.
        heads: Headings, one for each column.
        rows: Cells, one for each column.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def transposed(self) -> Grid:
        """Return the grid with its rows as columns."""
        names, *columns = zip(self.heads, *self.rows, strict=True)
        return Grid(title=self.title, heads=names, rows=tuple(columns))


def fit_either_way(grid: Grid, width: int) -> list[Table]:
    """Return the tables of the grid, or of its rows as columns where that takes fewer."""
    return min(fit_tables(grid, width), fit_tables(grid.transposed(), width), key=len)


def fit_tables(grid: Grid, width: int) -> list[Table]:
    """Return the grid as one table, or as several below one another where it is too wide.

    Each of several has the first column and as many of the others as there is room for.

    Args:
        grid: The cells.
        width: Characters of a line.
    """
    natural = [_measure(grid, column) for column in range(len(grid.heads))]
    first = min(natural[0], width // 2)
    if first + sum(natural[1:]) + _AROUND * len(natural) < width:
        return [_make_table(grid, list(range(1, len(natural))), first)]
    widths = [min(size, _MOST_WRAPPED) for size in natural]
    chunks = list(_split_columns(widths[1:], width - first - 2 * _AROUND))
    return [
        _make_table(grid, chunk, first, is_first=number == 0) for number, chunk in enumerate(chunks)
    ]


def _measure(grid: Grid, column: int) -> int:
    """Return how wide the widest line of a column is."""
    from rich.cells import cell_len

    cells = [grid.heads[column], *(row[column] for row in grid.rows)]
    lines = chain.from_iterable(cell.splitlines() or [""] for cell in cells)
    return max(cell_len(plain_cell(line)) for line in lines)


def _split_columns(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Yield the numbers of the columns that fit together, the first of all being number 1."""
    chunk: list[int] = []
    left = room
    for column, size in enumerate(widths, 1):
        if chunk and size + _AROUND > left:
            yield chunk
            chunk, left = [], room
        chunk.append(column)
        left -= size + _AROUND
    yield chunk


def _make_table(grid: Grid, columns: Sequence[int], first: int, *, is_first: bool = True) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = Text(plain_cell(grid.title)) if is_first else None
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column(Text(plain_cell(grid.heads[0])), overflow="fold", min_width=first)
    for column in columns:
        table.add_column(Text(plain_cell(grid.heads[column])), overflow="fold")
    for row in grid.rows:
        cells = [row[0], *(row[column] for column in columns)]
        table.add_row(*(Text(plain_cell(cell)) for cell in cells))
    return table


def plain_cell(text: str) -> str:
    """Return the text of a cell, without tabs and without what would control a terminal."""
    return escape_controls(text.expandtabs(4))
