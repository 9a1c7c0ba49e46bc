import pytest

from mypt.engine.humanize import short_bytes, short_count, short_duration


@pytest.mark.parametrize(
    ("value", "shown"), [(7, "7"), (1200, "1.2K"), (34_406_400, "34M"), (7_372_800_000, "7.37B")]
)
def test_counts(value, shown):
    assert short_count(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(3.2, "3s"), (912.5, "15m"), (188_280, "52.3h")])
def test_durations(value, shown):
    assert short_duration(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(12, "12 bytes"), (52_428_800, "52.4 MB")])
def test_bytes(value, shown):
    assert short_bytes(value) == shown
