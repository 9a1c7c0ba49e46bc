import pytest

from mypt.plotting.braille import Canvas


def draw(canvas):
    return ["".join(char for char, _ in canvas.row(number)) for number in range(canvas.rows)]


@pytest.mark.parametrize(("x", "y", "char"), [(0, 0, "\u2801"), (1, 0, "\u2808"), (1, 3, "\u2880")])
def test_a_dot_is_a_bit_of_its_character(x, y, char):
    canvas = Canvas(2, 1)
    canvas.dot(x, y, 3)
    assert canvas.row(0) == [(char, 3), (" ", None)]


def test_a_line_has_a_dot_in_every_column_or_row():
    flat, steep = Canvas(3, 1), Canvas(1, 2)
    flat.line((0, 0), (5, 0), 0, 0)
    steep.line((0, 7), (0, 0), 0, 0)
    assert draw(flat) == ["\u2809\u2809\u2809"]
    assert draw(steep) == ["\u2847", "\u2847"]


def test_a_dashed_line_has_gaps():
    canvas = Canvas(4, 1)
    canvas.line((0, 0), (7, 0), 0, 1)
    assert draw(canvas) == ["\u2809 \u2809 "]


def test_a_letter_hides_the_dots_around_it():
    canvas = Canvas(1, 1)
    canvas.dot(0, 0, 1)
    canvas.letter(1, 3, "x", 2)
    assert canvas.row(0) == [("x", 2)]
    assert not canvas.is_empty(0, 0)
