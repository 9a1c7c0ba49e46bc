import pytest

from mypt.engine.inference.processors.offered import list_processors
from mypt.model.decoding.sampling_options import SHORTHANDS
from mypt.plugins.manager import load_plugins
from mypt.testing import check_logit_processor

OPTIONS = {
    "logit_bias": {"bias": {"a": 3.0, 0: -3.0}},
    "banned_words": {"words": ["ab", "c"]},
    "json_schema": {"schema": {"type": "array", "items": {"type": "boolean"}}},
    "regex": {"pattern": "[ab]{3,}"},
    "grammar": {"lark": 'start: "a" start | "b"'},
}
FACTORIES = list_processors()


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.name)
def test_nothing_is_wrong_with_what_comes_with_mypt(factory, pieces):
    assert all(check_logit_processor(factory, pieces.tokenizer, OPTIONS[factory.name]))


def test_each_has_an_argument_of_its_own_and_is_a_plugins_as_any(chars):
    assert [factory.name for factory in FACTORIES] == [*SHORTHANDS]
    for factory in FACTORIES:
        assert factory.options["required"] == [SHORTHANDS[factory.name]]
    assert {*SHORTHANDS} <= {*load_plugins().logit_processors}


def test_an_argument_of_its_own_is_the_same_as_its_options_by_name(chars):
    for name, options in OPTIONS.items():
        short = {name: options[SHORTHANDS[name]]}
        named = chars.generate("x", 20, seed=1, processors={name: options})
        assert chars.generate("x", 20, seed=1, **short) == named
