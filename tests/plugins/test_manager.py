import importlib
import sys
from types import SimpleNamespace

import pytest

from mypt.format.errors import PluginError
from mypt.plugins import (
    GuardFactory,
    PartFactory,
    ReaderFactory,
    SinkFactory,
    TokenizerFactory,
    hookimpl,
)
from mypt.plugins.manager import BUILT_IN, load_plugins
from tests.support.installed import others
from tests.support.offering_plugins import source, tokenizers


def test_a_look_up_of_a_built_in_thing_loads_no_other_plugin(plugins):
    loaded = []
    plugins.load_later(source("late"), lambda: loaded.append("late") or tokenizers("late"))
    assert plugins.tokenizer("char").token_kind == "char"
    assert "gpt2" in plugins.tokenizers
    assert ("mlp_type", "gelu") in plugins.layouts
    assert loaded == []
    assert plugins.tokenizer("late").token_kind == "late"
    assert loaded == ["late"]


def test_going_through_all_gives_the_built_in_ones_first(plugins):
    plugins.load_later(source("a"), lambda: tokenizers("a"))
    assert [*plugins.tokenizers] == ["char", "gpt2", "a"]
    assert len(plugins.tokenizers) == 3


def test_a_built_in_name_stays_its_own(plugins):
    plugins.load_later(source("shadow"), lambda: tokenizers("char", "new"))
    assert plugins.tokenizer("new")
    assert plugins.tokenizer("char").build is not None
    assert "char" in plugins.registries()["mypt_tokenizers"].factories
    (fault,) = plugins.faults
    assert fault.kind == "clash"
    line = str(fault.problem)
    assert "plugin shadow of acme-shadow 1.0" in line
    assert "plugin mypt.tokenizers.plugin of mypt" in line


def test_a_name_of_two_plugins_is_refused_naming_both_and_the_others_work(plugins):
    plugins.load_later(source("a"), lambda: tokenizers("same", "a"))
    plugins.load_later(source("b"), lambda: tokenizers("same", "b"))
    assert plugins.tokenizer("a")
    assert plugins.tokenizer("b")
    with pytest.raises(PluginError) as refused:
        plugins.tokenizer("same")
    assert "plugin a of acme-a 1.0" in str(refused.value)
    assert "plugin b of acme-b 1.0" in str(refused.value)
    assert "--disable-plugin b" in str(refused.value)


def test_a_look_up_that_fails_names_the_plugins_that_could_not_say_what_they_offer(plugins):
    def fail():
        raise ImportError("no such thing")

    plugins.load_later(source("ill"), fail)
    with pytest.raises(PluginError) as refused:
        plugins.tokenizer("mine")
    first, second = str(refused.value).splitlines()
    assert "`mine`" in first
    assert "plugin ill of acme-ill 1.0: cannot be loaded: ImportError: no such thing" in second


def test_what_is_no_factory_is_left_out_and_named(plugins):
    @hookimpl
    def mypt_tokenizers():
        return [TokenizerFactory("good", build=str, train=str), "bytes"]

    plugins.load_later(source("a"), lambda: SimpleNamespace(mypt_tokenizers=mypt_tokenizers))
    assert plugins.tokenizer("good")
    (fault,) = plugins.faults
    assert "str, not TokenizerFactory" in fault.what


def test_old_calls_of_the_factories_still_work():
    """New attributes have defaults: this is what plugins of the first release call."""
    TokenizerFactory("a", build=str, train=str)
    PartFactory("norm_type", "a", str)
    GuardFactory("a", dict)
    SinkFactory("a", str)
    ReaderFactory("a", recognises=bool, read=str)


@pytest.mark.parametrize("module", BUILT_IN)
def test_built_in_plugins_go_through_the_same_door(module, monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    whole = {hook: set(offers.factories) for hook, offers in load_plugins().registries().items()}
    monkeypatch.setitem(sys.modules, module, None)  # importing it fails
    plugins = load_plugins()
    left = {hook: set(offers.factories) for hook, offers in plugins.registries().items()}
    assert [fault.source.name for fault in plugins.faults] == [module]
    monkeypatch.undo()
    offered = {name for name in whole if hasattr(importlib.import_module(module), name)}
    assert offered
    assert {hook for hook in whole if left[hook] != whole[hook]} == offered
    assert all(left[hook] < whole[hook] for hook in offered)


def test_without_the_built_in_plugin_there_are_no_tokenizers(monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    monkeypatch.setitem(sys.modules, "mypt.tokenizers.plugin", None)
    with pytest.raises(PluginError, match="`char`; available: none"):
        load_plugins().tokenizer("char")
