import pytest

from mypt.engine.config.plugin_sections import check_sections, merge_sections
from mypt.format.errors import ConfigError, PluginError
from mypt.format.rules.plugin_settings import Setting

OPTIONS = {"properties": {"slope": {"type": "number"}, "eps": {"type": "number"}}}
SETTINGS = {
    ("token_kind", "char"): Setting("mypt-lm"),
    ("plugins", "acme"): Setting("acme"),
    ("mlp_type", "leaky"): Setting("acme", OPTIONS),
    ("norm_type", "own"): Setting("acme", {"properties": {"eps": {"type": "integer"}}}),
}


def test_sections_are_joined_option_by_option():
    first, second = {"a": {"x": 1, "y": 1}, "b": {}}, {"a": {"y": 2}, "c": {"z": 3}}
    assert merge_sections(first, second) == {"a": {"x": 1, "y": 2}, "b": {}, "c": {"z": 3}}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["a"], "plugins: is a list of 1, not an object; write an object"),
        ({"a": 3}, "plugins/a: is 3, not an object; write an object"),
    ],
)
def test_what_is_no_section_is_refused(given, line):
    with pytest.raises(ConfigError) as refused:
        merge_sections({}, given)
    assert str(refused.value) == line


def refusal(document, kind=ConfigError, **origin):
    with pytest.raises(kind) as refused:
        check_sections(document, SETTINGS, **origin)
    return [f"{p.file}#{p.where}" if p.file else p.where for p in refused.value.problems]


def test_each_option_is_named_in_the_document_that_it_is_from():
    document = {"mlp_type": "leaky", "plugins": {"acme": {"slope": "x", "eps": "y"}}}
    given = {"acme": {"eps": "y"}}
    assert refusal(document, preset="p.json", given=given) == [
        "p.json#/plugins/acme/slope",
        "plugins/acme/eps",
    ]
    assert refusal({**document, "plugins": {"acm": {}}}, given={"acm": {}}) == ["plugins/acm"]


def test_what_has_no_effect_is_a_line():
    (line,) = check_sections({"plugins": {"acme": {"slope": 1}}}, SETTINGS)
    assert line.startswith("plugins/acme/slope: has no effect: it is an option of mlp_type `leaky`")


def test_an_option_of_two_meanings_is_the_plugins_fault():
    document = {"mlp_type": "leaky", "norm_type": "own", "plugins": {"acme": {"eps": 1}}}
    assert refusal(document, PluginError) == ["plugins/acme/eps"]
