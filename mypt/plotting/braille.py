"""A canvas of dots: in braille the finest lines that text can draw, eight dots to a character."""

from __future__ import annotations

from attrs import define, field

DOTS_X, DOTS_Y = 2, 4  # of one character
_BLANK = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row, then column


@define
class Canvas:
    """Characters with dots and letters, each with a colour.

    A library for this would have been `plotext`; its current version brings a compiled library,
    keeps the figure in its module, and is untyped.

    Attributes:
        columns: Width in characters.
        rows: Height in characters.
        line_chars: Characters of curves by colour, for terminals without braille; else empty.
    """

    columns: int
    rows: int
    line_chars: str = ""
    _dots: dict[tuple[int, int], int] = field(factory=dict, init=False)
    _letters: dict[tuple[int, int], str] = field(factory=dict, init=False)
    _colours: dict[tuple[int, int], int | None] = field(factory=dict, init=False)

    @property
    def width(self) -> int:
        """Width in dots."""
        return self.columns * DOTS_X

    @property
    def height(self) -> int:
        """Height in dots."""
        return self.rows * DOTS_Y

    def dot(self, x: int, y: int, colour: int) -> None:
        """Set a dot, counted from the upper left; the colour is that of its whole character."""
        cell = (y // DOTS_Y, x // DOTS_X)
        self._dots[cell] = self._dots.get(cell, 0) | _BITS[y % DOTS_Y][x % DOTS_X]
        self._colours[cell] = colour

    def line(self, start: tuple[int, int], end: tuple[int, int], colour: int, dash: int) -> None:
        """Draw a straight line between two dots; the higher `dash`, the wider its gaps."""
        (x0, y0), (x1, y1) = start, end
        length = max(abs(x1 - x0), abs(y1 - y0), 1)
        is_steep = abs(y1 - y0) > abs(x1 - x0)
        for step in range(length + 1):
            x = x0 + round((x1 - x0) * step / length)
            y = y0 + round((y1 - y0) * step / length)
            if not dash or (y if is_steep else x) % (2 * min(dash, 2) + 2) < 2:
                self.dot(x, y, colour)

    def letter(self, x: int, y: int, char: str, colour: int | None) -> None:
        """Put a character where a dot is, in place of all dots around it."""
        cell = (y // DOTS_Y, x // DOTS_X)
        self._letters[cell] = char
        self._colours[cell] = colour

    def is_empty(self, column: int, row: int) -> bool:
        """Return whether a character cell is empty."""
        return (row, column) not in self._dots and (row, column) not in self._letters

    def row(self, number: int) -> list[tuple[str, int | None]]:
        """Return the characters of a row, each with its colour; None for no colour."""
        cells = [(number, column) for column in range(self.columns)]
        return [(self._char(cell), self._colours.get(cell)) for cell in cells]

    def _char(self, cell: tuple[int, int]) -> str:
        if cell in self._letters:
            return self._letters[cell]
        if cell not in self._dots:
            return " "
        colour = self._colours[cell]
        return self.line_chars[colour or 0] if self.line_chars else chr(_BLANK + self._dots[cell])
