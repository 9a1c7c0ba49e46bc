"""Each set of characters can tell its curves and marks apart."""

import pytest

from mypt.plotting.chart import COLOURS
from mypt.plotting.glyphs import ASCII, UNICODE


def test_ascii_has_another_character_for_each_curve_and_mark():
    marks = [*ASCII.lines, ASCII.gold, ASCII.blocked, ASCII.phase]
    assert len(ASCII.lines) == COLOURS
    assert len(set(marks)) == len(marks)
    assert "".join([*marks, *ASCII.axis, *ASCII.ruler, ASCII.left_out]).isascii()


@pytest.mark.parametrize(("glyphs", "said"), [(ASCII, ". "), (UNICODE, "")])
def test_a_legend_names_the_character_where_there_are_no_dots(glyphs, said):
    assert glyphs.legend(1) == said
