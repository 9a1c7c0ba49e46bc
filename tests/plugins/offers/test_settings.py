from types import SimpleNamespace

import pytest
from attrs import evolve

from mypt.format.rules.plugin_settings import GUARDS, TOKEN_KIND, TOKENIZATION, former_key
from mypt.plugins import (
    GuardFactory,
    TokenizerFactory,
    hookimpl,
)
from mypt.plugins.manager import load_plugins
from tests.support.installed import others
from tests.support.offering_plugins import of_size, source, tokenizers


def test_an_option_that_two_factories_of_a_package_take_alike_is_theirs(plugins):
    plugins.load_later(source("a"), lambda: of_size({"type": "integer", "default": 3}))
    plugins.load_all()
    assert plugins.faults == []
    assert plugins.settings["plugins", "acme-a"].names == ("a", "")


SIZE = {"size": {"type": "integer"}}
SIZES = {"properties": SIZE}


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


def test_settings_are_found_under_former_names_of_what_was_renamed(plugins):
    guard = GuardFactory("new", dict, options=SIZES, former_names=("old",))
    plugins.load_later(
        source("a"), lambda: SimpleNamespace(mypt_gold_guards=hookimpl(lambda: [guard]))
    )
    plugins.load_all()
    now, before = plugins.settings[GUARDS, "new"], plugins.settings[former_key(GUARDS, "old")]
    assert (now.package, now.options, now.name) == ("acme-a", SIZE, "")
    assert before == evolve(now, name="new")
    assert (GUARDS, "old") not in plugins.settings


def test_what_two_packages_offer_takes_the_options_of_both_and_cannot_be_used(plugins):
    for name, options in (("a", SIZES), ("b", {"properties": {"depth": {"type": "integer"}}})):
        guard = GuardFactory("half", dict, options=options)
        offered = SimpleNamespace(mypt_gold_guards=hookimpl(lambda guard=guard: [guard]))
        plugins.load_later(source(name), lambda offered=offered: offered)
    plugins.load_all()
    found = plugins.settings[GUARDS, "half"]
    assert set(found.options) == {"size", "depth"}
    assert (found.package, found.names) == ("acme-a", ("acme-b",))
    assert "is offered by both" in found.unusable[0]


def test_what_trains_a_tokenizer_has_settings_beside_those_of_its_document(plugins):
    factory = TokenizerFactory("t", build=str, train=str, options={}, train_options=SIZES)
    plugins.load_later(
        source("a"), lambda: SimpleNamespace(mypt_tokenizers=hookimpl(lambda: [factory]))
    )
    plugins.load_all()
    assert plugins.settings[TOKEN_KIND, "t"].options == {}
    assert plugins.settings[TOKENIZATION, "t"].options == SIZE
