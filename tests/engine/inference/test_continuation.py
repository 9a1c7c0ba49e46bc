import pytest

from mypt.engine.inference.continuation import Ending
from mypt.format.errors import ConfigError
from mypt.plugins.manager import load_plugins


@pytest.fixture(scope="module")
def tokenizer():
    return load_plugins().tokenizer("char").train("the cat")


def test_a_single_string_or_token_is_one(tokenizer):
    ending = Ending.of(tokenizer, 5, "the", "c")
    assert ending.stop == ("the",)
    assert ending.stop_tokens == {tokenizer.encode("c")[0]: "c"}
    assert ending.is_early


def test_without_stops_a_text_ends_with_its_tokens(tokenizer):
    assert not Ending.of(tokenizer, 5, (), ()).is_early


@pytest.mark.parametrize(
    ("stop", "stop_tokens", "what"),
    [
        ("", (), "stop: is empty"),
        ((), 99, "stop_tokens: is 99"),
        ((), -1, "stop_tokens: is -1"),
        ((), "cat", "`cat` is not one token but 3"),
    ],
)
def test_stops_that_cannot_be_are_refused(tokenizer, stop, stop_tokens, what):
    with pytest.raises(ConfigError, match=what):
        Ending.of(tokenizer, 5, stop, stop_tokens)
