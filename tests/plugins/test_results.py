"""What a plugin's functions return is checked, and what is called of it later is isolated."""

import pytest

from mypt.plugins import CommandFactory, GuardFactory, ScheduleFactory
from mypt.plugins.results import accept_result, check_result


def mark(name, function):
    return (name, function)


@pytest.mark.parametrize(
    ("factory", "name"),
    [(GuardFactory("a", dict), "judge"), (ScheduleFactory("a", dict), "factor")],
)
def test_a_function_that_was_built_is_isolated_under_its_name(factory, name):
    assert accept_result(factory, "build", print, mark) == (name, print)
    with pytest.raises(TypeError, match="not a function"):
        accept_result(factory, "build", 5, mark)


def test_a_share_is_a_number_from_0_to_1():
    assert check_result(ScheduleFactory("a", dict), "factor", 1) == 1.0
    with pytest.raises(ValueError, match=r"2\.0, not a number from 0"):
        check_result(ScheduleFactory("a", dict), "factor", 2)


def test_a_command_is_one_of_click():
    with pytest.raises(TypeError, match="str, not Command"):
        accept_result(CommandFactory("a", "A.", dict), "load", "a", mark)
