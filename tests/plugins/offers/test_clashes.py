from types import SimpleNamespace

from mypt.plugins import (
    GuardFactory,
    hookimpl,
)
from tests.support.offering_plugins import of_size, source


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


def renamed(name, *former):
    """A plugin with a guard that had other names before."""
    guard = GuardFactory(name, dict, former_names=former)
    return SimpleNamespace(mypt_gold_guards=hookimpl(lambda: [guard]))


def test_a_former_name_that_two_plugins_claim_is_the_fault_of_the_second(plugins):
    plugins.load_later(source("a"), lambda: renamed("one", "old"))
    plugins.load_later(source("b"), lambda: renamed("two", "old"))
    plugins.load_all()
    (fault,) = plugins.faults
    assert (fault.source, fault.kind) == (source("b"), "clash")
    assert fault.what.startswith(
        "says that it offered the gold guard `old`, as plugin a of acme-a 1.0"
    )


def test_a_former_name_that_another_plugin_has_now_is_not_taken_from_it(plugins):
    plugins.load_later(source("a"), lambda: renamed("old"))
    plugins.load_later(source("b"), lambda: renamed("new", "old"))
    plugins.load_all()
    (fault,) = plugins.faults
    assert fault.source == source("b")
    assert "says that it offered the gold guard `old`, which plugin a of acme-a 1.0" in fault.what
    assert plugins.guards["old"].name == "old"


def test_a_former_name_of_its_own_is_no_clash(plugins):
    both = (GuardFactory("old", dict), GuardFactory("new", dict, former_names=("old",)))
    plugins.load_later(
        source("a"), lambda: SimpleNamespace(mypt_gold_guards=hookimpl(lambda: both))
    )
    plugins.load_all()
    assert plugins.faults == []
