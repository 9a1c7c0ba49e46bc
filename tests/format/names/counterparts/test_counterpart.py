from itertools import chain

from mypt.format.names.counterparts.counterpart import PROGRAMS, Counterpart
from mypt.format.names.counterparts.settings import SETTINGS


def test_a_row_names_what_each_program_calls_it_and_then_habits():
    row = Counterpart(ours="ema", habits="swa", litgpt="ema.decay", nanogpt="ema_decay ema_rate")
    assert [*row.names] == ["ema_decay", "ema_rate", "ema.decay", "swa"]


def test_every_program_has_names():
    for program in PROGRAMS:
        assert any(getattr(row, program) for row in chain(*SETTINGS.values())), program
