import pytest

from mypt.format.errors import ConfigError
from mypt.plugins.manager import load_plugins
from mypt.plugins.selection import select_options

PLUGINS = load_plugins()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"max_ratoi": 3},
            "gold_guards/overfit/max_ratoi: is not an option (did you mean `max_ratio`?); "
            "use one of: max_ratio",
        ),
        (
            {"max_ratio": "high"},
            'gold_guards/overfit/max_ratio: is "high", not a number; write a number above 0',
        ),
        (True, "gold_guards/overfit: is true, not an object; write an object"),
    ],
)
def test_an_option_of_a_guard_that_does_not_fit_is_told_with_those_that_there_are(options, line):
    with pytest.raises(ConfigError) as refused:
        select_options("gold_guards", {"overfit": options}, PLUGINS.guards)
    assert str(refused.value) == line


def test_a_sink_without_options_takes_none():
    with pytest.raises(ConfigError, match=r"^log_sinks/console/x: is not an option; leave it out"):
        select_options("log_sinks", {"console": {"x": 1}}, PLUGINS.sinks)
