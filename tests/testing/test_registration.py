from types import SimpleNamespace

import pytest

from mypt.plugins import GuardFactory, PartFactory, PluginError, hookimpl
from mypt.testing import registered


def offering(hook, *offered):
    return SimpleNamespace(**{hook: hookimpl(lambda: [*offered])})


def test_what_a_plugin_offers_is_there_beside_what_mypt_has():
    guards = registered(offering("mypt_gold_guards", GuardFactory("mine", dict))).guards
    assert {"mine", "overfit"} <= guards.keys()


@pytest.mark.parametrize(
    ("hook", "offered", "said"),
    [
        (
            "mypt_gold_guards",
            GuardFactory("overfit", dict),
            "offers the gold guard `overfit`, which",
        ),
        ("mypt_gold_guards", GuardFactory(5, dict), "whose `name` is 5, not a non-empty string"),
        ("mypt_gold_guards", "mine", "offers str, not GuardFactory"),
        (
            "mypt_gold_gards",
            GuardFactory("mine", dict),
            r"mypt does not know: mypt_gold_gards \(did you mean `mypt_gold_guards`\?\)",
        ),
    ],
)
def test_what_is_wrong_is_said(hook, offered, said):
    with pytest.raises(PluginError, match=said):
        registered(offering(hook, offered))


def test_a_forgotten_hookimpl_is_said():
    with pytest.raises(PluginError, match="offers nothing; check its `@hookimpl`"):
        registered(SimpleNamespace(mypt_gold_guards=list))


def test_an_option_that_means_two_things_is_said():
    parts = [
        PartFactory(slot, "mine", str, options={"properties": {"eps": {"type": kind}}})
        for slot, kind in {"mlp_type": "number", "norm_type": "integer"}.items()
    ]
    with pytest.raises(PluginError, match="do not take the same as the option `eps`"):
        registered(offering("mypt_parts", *parts))
