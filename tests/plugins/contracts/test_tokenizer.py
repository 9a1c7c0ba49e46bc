import pytest

from mypt.format.errors import ConfigError
from mypt.format.rules.arguments import check_arguments
from mypt.plugins.contracts.tokenizer import TOKENIZER, TokenizerFactory
from mypt.tokenizers.char import CharTokenizer

SIZES = {"properties": {"vocab_size": {"type": "integer", "minimum": 2}}}


def factory(**more):
    """A factory whose tokenizers are what they were trained with."""
    return TokenizerFactory("seen", build=dict, train=lambda *given: given, **more)


def test_a_text_in_pieces_is_joined_for_a_plugin_that_takes_it_whole():
    assert factory().trained_on(["one ", "text"]) == ("one text",)


def test_pieces_are_passed_on_to_a_plugin_that_takes_them():
    made = factory(train_pieces=lambda pieces: [*pieces]).trained_on(iter(["one ", "text"]))
    assert made == ["one ", "text"]


def test_only_a_tokenizer_with_settings_of_its_own_gets_them():
    assert factory(train_options=SIZES).trained_on(["a"], {"vocab_size": 3}) == (
        "a",
        {"vocab_size": 3},
    )
    assert factory(train_options=SIZES).trained_on(["a"]) == ("a", {})
    assert factory().trained_on(["a"], {"vocab_size": 3}) == ("a",)


def test_settings_that_do_not_match_are_refused_before_anything_is_trained():
    def train(*_):
        raise AssertionError

    strict = TokenizerFactory("strict", build=dict, train=train, train_options=SIZES)
    with pytest.raises(ConfigError, match="plugins/vocab_size: is 1, less than 2"):
        strict.trained_on(["a"], {"vocab_size": 1})


def test_the_settings_of_a_tokenizer_are_those_of_its_schema():
    assert factory().train_properties == {}
    assert factory(train_options={}).train_properties == {}
    assert list(factory(train_options=SIZES).train_properties) == ["vocab_size"]


def test_what_encodes_is_told_from_what_does_not():
    made = CharTokenizer.train("abc")
    assert check_arguments(it=(made, TOKENIZER)) == {"it": made}
    with pytest.raises(ConfigError, match="make it a tokenizer, such as"):
        check_arguments(it=("abc", TOKENIZER))
