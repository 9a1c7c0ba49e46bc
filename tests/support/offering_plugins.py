"""Plugins made on the spot, for the tests of what loads and lists them."""

from types import SimpleNamespace

from mypt.plugins import (
    PartFactory,
    TokenizerFactory,
    hookimpl,
)
from mypt.plugins.faults import PluginOrigin


def tokenizers(*kinds):
    """A plugin that offers tokenizers."""

    @hookimpl
    def mypt_tokenizers():
        return [TokenizerFactory(kind, build=str, train=str) for kind in kinds]

    return SimpleNamespace(mypt_tokenizers=mypt_tokenizers)


def source(name):
    return PluginOrigin(name, f"acme-{name}", "1.0")


def of_size(schema):
    """A plugin with a tokenizer and a norm, which both have the option `size`."""
    whole = {"properties": {"size": {"type": "integer"}}}
    tokenizer = TokenizerFactory("t", build=str, train=str, train_options=whole)
    part = PartFactory("norm_type", "n", str, options={"properties": {"size": schema}})
    return SimpleNamespace(
        mypt_tokenizers=hookimpl(lambda: [tokenizer]), mypt_parts=hookimpl(lambda: [part])
    )
