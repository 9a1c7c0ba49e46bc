from types import SimpleNamespace

import pytest

from mypt.format.errors import PluginError
from mypt.plugins import (
    GuardFactory,
    TokenizerFactory,
    hookimpl,
)
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.hookspecs import hookspec
from mypt.plugins.manager import Plugins, load_plugins
from mypt.plugins.registry import HOOKS
from tests.support.installed import others
from tests.support.offering_plugins import source, tokenizers


def test_a_hook_may_take_fewer_arguments_than_mypt_gives():
    class Newer:
        @hookspec
        def mypt_tokenizers(self, purpose, folder):
            """As a later version of mypt may have it."""

    for name in HOOKS.keys() - {"mypt_tokenizers"}:
        setattr(Newer, name, hookspec(lambda self: None))

    class New:
        @hookimpl
        def mypt_tokenizers(self, purpose):
            return [TokenizerFactory(f"for_{purpose}", build=str, train=str)]

    plugins = Plugins(hooks=Newer, arguments={"purpose": "train", "folder": "x"})
    plugins.register(tokenizers("old"), source("old"))
    plugins.register(New(), source("new"))
    assert set(plugins.tokenizers) == {"old", "for_train"}
    assert plugins.faults == []


def test_a_hook_that_asks_for_what_mypt_does_not_give_is_named():
    @hookimpl
    def mypt_tokenizers(moon):
        return []

    with pytest.raises(PluginError, match="moon"):
        Plugins().register(SimpleNamespace(mypt_tokenizers=mypt_tokenizers), source("a"))


def test_a_misspelt_hook_is_named():
    @hookimpl
    def mypt_tokenisers():
        return []

    with pytest.raises(PluginError, match="mypt_tokenisers"):
        Plugins().register(SimpleNamespace(mypt_tokenisers=mypt_tokenisers), source("a"))


def test_a_plugin_that_is_refused_leaves_the_one_of_its_name_in_place():
    plugins = Plugins()
    plugins.register(tokenizers("a"), source("a"))
    with pytest.raises(PluginError, match="acme-other"):
        plugins.register(tokenizers("b"), PluginOrigin("a", "acme-other", "2.0"))
    assert set(plugins.tokenizers) == {"a"}


def test_a_fault_is_reported_once_when_it_is_found():
    told = []
    plugins = Plugins(report=told.append)
    plugins.load_later(source("ill"), lambda: 1 / 0)
    assert told == []
    plugins.load_all()
    plugins.load_all()
    assert told == plugins.faults
    assert len(told) == 1


def test_of_a_plugin_that_is_refused_nothing_is_used(plugins):
    @hookimpl
    def mypt_tokenizers(moon):
        return []

    @hookimpl
    def mypt_gold_guards():
        return [GuardFactory("half", dict)]

    hooks = {"mypt_tokenizers": mypt_tokenizers, "mypt_gold_guards": mypt_gold_guards}
    plugins.load_later(source("a"), lambda: SimpleNamespace(**hooks))
    assert "half" not in plugins.registries()["mypt_gold_guards"].factories
    assert [fault.kind for fault in plugins.faults] == ["broken"]


def test_of_a_plugin_with_a_misspelt_hook_nothing_is_used_and_the_next_one_works(plugins):
    @hookimpl
    def mypt_tokenisers():
        return []

    @hookimpl
    def mypt_gold_guards():
        return [GuardFactory("half", dict)]

    hooks = {"mypt_tokenisers": mypt_tokenisers, "mypt_gold_guards": mypt_gold_guards}
    plugins.load_later(source("a"), lambda: SimpleNamespace(**hooks))
    plugins.load_later(source("b"), lambda: tokenizers("b"))
    assert plugins.tokenizer("b")
    assert "half" not in plugins.registries()["mypt_gold_guards"].factories
    (fault,) = plugins.faults
    assert "mypt_tokenisers" in fault.what


def test_a_plugin_without_hookimpl_is_named_once(plugins):
    forgotten = SimpleNamespace(mypt_tokenizers=list)
    plugins.load_later(source("a"), lambda: forgotten)
    plugins.load_later(source("b"), lambda: tokenizers())  # today it has nothing to offer
    plugins.load_all()
    plugins.load_all()
    (fault,) = plugins.faults
    assert fault.source == source("a")
    assert fault.what == "offers nothing; check its `@hookimpl` decorators"


def test_only_a_stranger_s_plugin_is_called_slow(monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    monkeypatch.setattr("mypt.plugins.loader.SLOW_S", -1)  # as on a machine that is busy
    plugins = load_plugins()
    plugins.load(source("own"), lambda: tokenizers("own"))
    plugins.load_all()
    assert [(fault.source.name, fault.kind) for fault in plugins.faults] == [("own", "slow")]
