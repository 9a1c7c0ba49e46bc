"""What a factory holds is checked when a plugin offers it; what is wrong is one line."""

from types import MappingProxyType, SimpleNamespace

import pytest

from mypt.plugins import (
    ExporterFactory,
    GuardFactory,
    PartFactory,
    ReaderFactory,
    SinkFactory,
    TokenizerFactory,
    hookimpl,
)
from mypt.plugins.contracts.fields import find_flaw
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins
from tests.support.installed import others

MISSPELT = {"properties": {"limit": {"type": "nmber"}}}


@pytest.fixture
def plugins(monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    return load_plugins()


@pytest.mark.parametrize(
    ("hook", "factory", "said"),
    [
        ("mypt_gold_guards", GuardFactory(5, dict), "gold guard `5`, whose `name` is 5, not"),
        ("mypt_gold_guards", GuardFactory("", dict), "`name` is '', not a non-empty string"),
        ("mypt_gold_guards", GuardFactory("a", None), "`build` is None, not a function"),
        (
            "mypt_gold_guards",
            GuardFactory("a", dict, options=MISSPELT),
            "`options` is not a valid JSON Schema: /properties/limit/type: 'nmber' is",
        ),
        ("mypt_gold_guards", GuardFactory("a", dict, options=[1]), "is [1], not a JSON Schema"),
        ("mypt_log_sinks", SinkFactory("a", dict, options={"pattern": "["}), "/pattern: '['"),
        ("mypt_log_sinks", SinkFactory("a", 7), "log sink `a`, whose `build` is 7, not"),
        (
            "mypt_parts",
            PartFactory("norm", "a", str),
            "`slot` is 'norm', not one of pos_encoding,",
        ),
        ("mypt_parts", PartFactory("norm_type", None, str), "norm_type `None`, whose `name` is"),
        ("mypt_parts", PartFactory("norm_type", "a", str, {}), "`tensors` is {}, not a function"),
        ("mypt_tokenizers", TokenizerFactory(["a"], str, train=str), "`token_kind` is ['a'], not"),
        ("mypt_tokenizers", TokenizerFactory("a", str, train=None), "`train` is None, not"),
        ("mypt_tokenizers", TokenizerFactory("a", str, train=str, train_pieces=1), "is 1, not"),
        (
            "mypt_tokenizers",
            TokenizerFactory("a", str, train=str, train_options=MISSPELT),
            "`train_options` is not a valid JSON Schema",
        ),
        ("mypt_legacy_readers", ReaderFactory("a", recognises=bool, read=0), "`read` is 0, not"),
        ("mypt_exporters", ExporterFactory("a", "", explain=str, write=str), "`title` is '', not"),
        ("mypt_exporters", ExporterFactory("a", "A", explain=1, write=str), "`explain` is 1, not"),
        ("mypt_exporters", ExporterFactory("a", "A", explain=str, write=1), "`write` is 1, not"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_rest_of_the_plugin_works(
    plugins, hook, factory, said
):
    good = SinkFactory("good", str) if hook == "mypt_gold_guards" else GuardFactory("good", str)
    other = "mypt_log_sinks" if hook == "mypt_gold_guards" else "mypt_gold_guards"
    offered = {hook: hookimpl(lambda: [factory]), other: hookimpl(lambda: [good])}
    plugins.load_later(PluginOrigin("mine", "acme", "1.0"), lambda: SimpleNamespace(**offered))
    offers = plugins.registries()
    assert "good" in offers[other].factories
    assert all(source.is_built_in for source in offers[hook].sources.values())
    (fault,) = plugins.faults
    line = str(fault.problem)
    assert line.startswith("plugin mine of acme 1.0: offers the ")
    assert said in line
    assert "; update it, or disable it: mypt --disable-plugin mine" in line
    assert len(line.splitlines()) == 1


def test_a_name_that_one_plugin_offers_badly_is_free_for_another(plugins):
    for name, build in (("bad", None), ("good", dict)):
        offered = hookimpl(lambda build=build: [GuardFactory("same", build)])
        plugin = SimpleNamespace(mypt_gold_guards=offered)
        plugins.load_later(PluginOrigin(name, "acme", "1.0"), lambda plugin=plugin: plugin)
    assert "same" in plugins.guards
    assert [fault.source.name for fault in plugins.faults] == ["bad"]


def test_a_schema_may_be_any_mapping_and_what_has_a_default_may_be_left_out():
    schema = MappingProxyType({"type": "object"})
    assert find_flaw(GuardFactory("a", dict, options=schema)) is None
    assert find_flaw(TokenizerFactory("a", str, train=str)) is None


def test_nothing_is_wrong_with_what_comes_with_mypt(plugins):
    """At run time nobody looks, so that no command waits for jsonschema."""
    factories = [f for offer in plugins.registries().values() for f in offer.factories.values()]
    assert len(factories) > 15
    assert [find_flaw(factory) for factory in factories] == [None] * len(factories)
