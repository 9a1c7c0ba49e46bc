import pytest
from jinja2.exceptions import SecurityError

from mypt.chat.sandbox.budget import Budget, check_filter, check_operator, measure

LONG = "x" * 3_000_000


def test_a_value_is_measured_by_its_characters_and_items():
    assert measure("abc", 99) == 4
    assert measure({"a": ["bc", 1]}, 99) == 8
    assert measure(range(1000), 99) == 1001
    assert measure([LONG] * 99, 10) > 10  # it stops there


def test_what_is_used_is_gone():
    budget = Budget("")
    budget.use(budget.left)
    with pytest.raises(SecurityError, match="does too much: it repeats something too often"):
        budget.use(1)


def test_a_larger_conversation_may_use_more():
    assert Budget(LONG).left > Budget("").left
    assert Budget(LONG).largest > Budget("").largest


def test_time_is_limited_too():
    with pytest.raises(SecurityError, match="too often"):
        Budget("", seconds=0).use(1)


@pytest.mark.parametrize(
    ("operator", "left", "right"),
    [
        ("*", "ab", 1 << 40),
        ("**", 9, 9999),
        ("+", LONG, LONG),
        ("%", "%99999d", 1),
        ("+", 1 << 9999, 1),
    ],
)
def test_an_operator_is_refused_before_its_value_is_made(operator, left, right):
    check_operator(Budget(""), operator, 2 if operator != "%" else "%d", 3)
    with pytest.raises(SecurityError, match="does too much"):
        check_operator(Budget(""), operator, left, right)


@pytest.mark.parametrize(
    ("name", "value", "given"),
    [("replace", LONG, ("x", "yyy")), ("join", ["a"] * 9, (LONG,)), ("indent", "a", (9999,))],
)
def test_a_filter_is_refused_before_its_value_is_made(name, value, given):
    check_filter(Budget(""), name, "ab", ("a", "b"))
    with pytest.raises(SecurityError, match="does too much"):
        check_filter(Budget(""), name, value, given)
