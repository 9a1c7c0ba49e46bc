from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mypt.format.errors import ConfigError
from mypt.format.rules.arguments import (
    FLAG,
    INTEGER,
    MAPPING,
    PATH,
    PLAIN,
    TEXT,
    check_arguments,
    checked,
    either,
    number_where,
    one_of,
    optional,
    sequence_of,
    whole_number,
)

POSITIVE = number_where(lambda value: value > 0, "a number above 0")


@pytest.mark.parametrize(
    ("rule", "value", "converted"),
    [
        (whole_number(), 0, 0),
        (whole_number(1, below=5), np.int64(4), 4),
        (whole_number(), np.uint64(2**64 - 1), 2**64 - 1),
        (INTEGER, -3, -3),
        (POSITIVE, np.float32(0.5), 0.5),
        (POSITIVE, 3, 3.0),
        (POSITIVE, Fraction(1, 4), 0.25),
        (optional(whole_number()), None, None),
        (optional(whole_number()), 3, 3),
        (one_of("a", "b"), "b", "b"),
        (TEXT, "a", "a"),
        (FLAG, False, False),
        (PATH, "a/b", "a/b"),
        (PATH, Path("a"), Path("a")),
        (PLAIN, Path("a"), "a"),
        (PLAIN, np.int64(3), 3),
        (PLAIN, np.float32(0.5), 0.5),
        (PLAIN, {"a": (np.int32(1), None, True)}, {"a": [1, None, True]}),
        (MAPPING, {}, {}),
        (sequence_of(INTEGER, ""), np.array([1, 2]), (1, 2)),
        (either(TEXT, INTEGER, wanted=""), 5, 5),
    ],
)
def test_what_fits_is_converted(rule, value, converted):
    found = check_arguments(x=(value, rule))["x"]
    assert found == converted
    assert type(found) is type(converted)


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (whole_number(1, below=5), [0, 5, 1.0, "2", True, None, np.float64(2), [1], b"1"]),
        (POSITIVE, [0, float("nan"), "1", True, None, 1j, 10**400]),
        (optional(whole_number(1)), [0, 2.5]),
        (one_of("a", "b"), ["c", None, 1, ["a"]]),
        (TEXT, [b"a", None, 1, ["a"]]),
        (FLAG, [0, 1, "yes", None]),
        (PATH, [None, 1, b"a"]),
        (PLAIN, [b"a", object(), {1: 2}, {"a": b""}, 1j]),
        (MAPPING, [[], "a", None]),
        (sequence_of(INTEGER, ""), ["12", b"12", 3, None, [1.5], [None]]),
        (either(TEXT, INTEGER, wanted=""), [1.5, None]),
    ],
)
def test_what_does_not_fit_is_refused(rule, values):
    for value in values:
        with pytest.raises(ConfigError, match=r"^x: is "):
            check_arguments(x=(value, rule))


def test_all_that_do_not_fit_are_named_with_what_they_must_be():
    with pytest.raises(ConfigError) as refused:
        check_arguments(a=(1.5, whole_number(0, below=2**64)), b=("x" * 99, FLAG), c=(1, INTEGER))
    assert str(refused.value).splitlines() == [
        "a: is 1.5; make it a whole number of 0 or more, below 2^64",
        f"b: is '{'x' * 39}...; make it True or False",
    ]


@checked(number=whole_number(), name=optional(TEXT))
def repeat(number: int, name: str | None = None, *others: int, **more: int) -> list[object]:
    """Return what it is called with."""
    return [number, name, *others, more]


def test_a_function_checks_what_it_is_called_with():
    assert repeat(np.int64(2), "a", 3, x=4) == [2, "a", 3, {"x": 4}]
    assert type(repeat(np.int64(2))[0]) is int
    assert repeat.__doc__ == "Return what it is called with."
    with pytest.raises(ConfigError) as refused:
        repeat(name=1, number=1.5)
    assert [problem.where for problem in refused.value.problems] == ["number", "name"]
    with pytest.raises(ConfigError, match=r"^number: is missing; give a whole number"):
        repeat()
