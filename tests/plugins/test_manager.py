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
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.hookspecs import hookspec
from mypt.plugins.manager import BUILT_IN, Plugins, load_plugins
from mypt.plugins.registry import HOOKS
from tests.support.installed import others


def tokenizers(*kinds):
    """A plugin that offers tokenizers."""

    @hookimpl
    def mypt_tokenizers():
        return [TokenizerFactory(kind, build=str, train=str) for kind in kinds]

    return SimpleNamespace(mypt_tokenizers=mypt_tokenizers)


def source(name):
    return PluginOrigin(name, f"acme-{name}", "1.0")


@pytest.fixture
def plugins(monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    return load_plugins()


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


def test_what_is_no_factory_is_left_out_and_named(plugins):
    @hookimpl
    def mypt_tokenizers():
        return [TokenizerFactory("good", build=str, train=str), "bytes"]

    plugins.load_later(source("a"), lambda: SimpleNamespace(mypt_tokenizers=mypt_tokenizers))
    assert plugins.tokenizer("good")
    (fault,) = plugins.faults
    assert "str, not TokenizerFactory" in fault.what


def test_a_fault_is_reported_once_when_it_is_found():
    told = []
    plugins = Plugins(report=told.append)
    plugins.load_later(source("ill"), lambda: 1 / 0)
    assert told == []
    plugins.load_all()
    plugins.load_all()
    assert told == plugins.faults
    assert len(told) == 1


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
    monkeypatch.setattr("mypt.plugins.manager.SLOW_S", -1)  # as on a machine that is busy
    plugins = load_plugins()
    plugins.load(source("own"), lambda: tokenizers("own"))
    plugins.load_all()
    assert [(fault.source.name, fault.kind) for fault in plugins.faults] == [("own", "slow")]


def of_size(schema):
    """A plugin with a tokenizer and a norm, which both have the option `size`."""
    whole = {"properties": {"size": {"type": "integer"}}}
    tokenizer = TokenizerFactory("t", build=str, train=str, train_options=whole)
    part = PartFactory("norm_type", "n", str, options={"properties": {"size": schema}})
    return SimpleNamespace(
        mypt_tokenizers=hookimpl(lambda: [tokenizer]), mypt_parts=hookimpl(lambda: [part])
    )


def test_an_option_that_two_factories_of_a_package_do_not_take_alike_is_named_once(plugins):
    plugins.load_later(source("a"), lambda: of_size({"type": "number"}))
    plugins.load_all()
    plugins.load_all()
    (fault,) = plugins.faults
    assert fault.kind == "clash"
    assert fault.what == (
        "offers norm_type `n` and tokenization `t`, which do not take the same as the option `size`"
    )
    assert plugins.tokenizer("t")
    assert plugins.part("norm_type", "n")


def test_an_option_that_two_factories_of_a_package_take_alike_is_theirs(plugins):
    plugins.load_later(source("a"), lambda: of_size({"type": "integer", "default": 3}))
    plugins.load_all()
    assert plugins.faults == []
    assert plugins.settings["plugins", "acme-a"].names == ("a", "")


@pytest.mark.parametrize(
    ("package", "why"),
    [
        ("acme-off", ("is disabled", "remove it from --disable-plugin and MYPT_DISABLE_PLUGINS")),
        ("acme-ill", ("is broken", "update it; `mypt plugins` shows what is wrong with it")),
    ],
)
def test_a_package_that_cannot_be_used_says_why(package, why, monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", f"{others()},acme-off")
    plugins = load_plugins()
    plugins.load_later(source("off"), lambda: tokenizers("off"))
    plugins.load_later(source("ill"), lambda: 1 / 0)
    assert plugins.settings["plugins", package].unusable == why
