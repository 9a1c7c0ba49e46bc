from types import SimpleNamespace

import pytest

from mypt.format.errors import ConfigError
from mypt.plugins import GuardFactory, SinkFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins
from mypt.plugins.selection import check_given, select_options

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


@pytest.fixture(scope="module")
def plugins():
    """Give guards and a sink whose schemas are silent about names that they do not list."""
    limit = {"properties": {"limit": {"type": "number"}}}
    guards = [
        GuardFactory("mine", dict, options=limit),
        GuardFactory("any", dict, options={**limit, "additionalProperties": True}),
    ]
    hooks = {
        "mypt_gold_guards": hookimpl(lambda: guards),
        "mypt_log_sinks": hookimpl(lambda: [SinkFactory("plain", str)]),
    }
    plugins = load_plugins()
    plugins.register(SimpleNamespace(**hooks), PluginOrigin("acme", "acme", "1.0"))
    return plugins


@pytest.mark.parametrize(
    ("field", "options", "line"),
    [
        (
            "gold_guards",
            {"mine": {"limt": 3}},
            "/mine/limt: is not an option (did you mean `limit`?)",
        ),
        ("log_sinks", {"plain": {"every": 3}}, "/plain/every: is not an option; leave it out"),
        ("log_sinks", {"plian": {}}, ": there is no log sink `plian` (did you mean `plain`?)"),
    ],
)
def test_what_a_user_gives_has_names_that_are_declared(plugins, field, options, line):
    with pytest.raises(ConfigError) as refused:
        check_given(field, options, plugins)
    assert str(refused.value).startswith(f"{field}{line}")
    with pytest.raises(ConfigError) as refused:
        check_given(field, options, plugins, "p.json")
    assert str(refused.value).startswith(f"p.json#/{field}{line}")


def test_what_a_schema_takes_or_what_is_off_is_taken(plugins):
    check_given("gold_guards", {"mine": {"limit": 1}, "any": {"x": 1}, "trend": False}, plugins)
    check_given("log_sinks", {"of_another_machine": False, "plain": {}}, plugins)
