"""The kit finds nothing wrong with sound schedules, and what is wrong with others."""

import itertools
import math

import pytest

from mypt.plugins import ScheduleFactory
from mypt.testing import ContractError, check_schedule
from tests.support.schedule_plugin import mypt_schedules


def test_nothing_is_wrong_with_stairs():
    factors = check_schedule(mypt_schedules()[0], {"factor": 0.5, "every": 40})
    assert factors == [1.0] * 40 + [0.5] * 40 + [0.25] * 21


def by_call(training):
    count = itertools.count(1)
    return lambda step: 1 / next(count)


def by_built(training, count=itertools.count(2)):  # noqa: B008
    number = next(count)
    return lambda step: 1 / number


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda training: 0.5, "not a function"),
        (lambda training: lambda step: "0.5", "step 0 of .*returns str, not a number"),
        (lambda training: lambda step: exit(3), "step 0 of .*SystemExit: 3"),
        (lambda training: lambda step: 2.0, "step 0 of a run of 100 updates.*2.0"),
        (lambda training: lambda step: 1 - step / 50, "step 51 of a run of 100 updates"),
        (lambda training: lambda step: math.nan, "step 0 of a run of 100 updates.*nan"),
        (lambda training: lambda step: 1 - step / training.max_iters, "beyond the end"),
        (lambda training: lambda step: 1 / (training.max_iters - 1), "division"),
        (by_call, "asked again.* no function of the step alone"),
        (by_built, "built anew.* no function of the step alone"),
    ],
)
def test_what_is_wrong_is_found(build, said):
    with pytest.raises(ContractError, match=said):
        check_schedule(ScheduleFactory("odd", build))


def test_options_are_checked():
    with pytest.raises(ContractError, match="its own schema rejects the options"):
        check_schedule(mypt_schedules()[0], {"factor": 2})
