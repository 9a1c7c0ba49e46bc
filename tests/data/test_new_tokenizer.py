from types import SimpleNamespace

import pytest

from mypt.data.new_tokenizer import NewTokenizer
from mypt.format.errors import PluginError
from mypt.plugins import PartFactory, TokenizerFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins

TRAINING = {"properties": {"vocab_size": {"type": "integer"}, "lower": {"type": "boolean"}}}


def registered(package, **options):
    """Register a tokenizer whose training returns its options, and a part beside it."""
    tokenizer = TokenizerFactory("mine", build=str, train=lambda *given: given, **options)
    part = PartFactory("mlp_type", "leaky", str, options={"properties": {"slope": {}}})
    hooks = {
        "mypt_tokenizers": hookimpl(lambda: [tokenizer]),
        "mypt_parts": hookimpl(lambda: [part]),
    }
    plugins = load_plugins()
    plugins.register(SimpleNamespace(**hooks), PluginOrigin("mine", package, "1.0"))
    return plugins


@pytest.mark.parametrize("package", ["acme-mine", "Acme_Mine"])
def test_a_tokenizer_gets_its_own_options_whatever_its_package_is_called(package):
    plugins = registered(package, train_options=TRAINING)
    sections = {"acme-mine": {"lower": True, "slope": 3}, "other": {"lower": False}}
    assert NewTokenizer("mine", sections=sections).options(plugins) == {"lower": True}


def test_its_size_is_that_of_its_section_before_that_of_the_model():
    plugins = registered("acme-mine", train_options=TRAINING)
    assert NewTokenizer("mine", vocab_size=7).options(plugins) == {"vocab_size": 7}
    sections = {"acme-mine": {"vocab_size": 9}}
    wanted = NewTokenizer("mine", sections=sections, vocab_size=7)
    assert wanted.options(plugins) == {"vocab_size": 9}


def test_a_tokenizer_without_options_is_trained_without():
    assert NewTokenizer("mine", vocab_size=7).options(registered("acme-mine")) == {}


def test_a_tokenizer_that_nobody_offers_is_named(plugins):
    with pytest.raises(PluginError, match="no plugin offers the tokenizer `none`"):
        NewTokenizer("none").options(plugins)
