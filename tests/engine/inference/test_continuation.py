import pytest

from mypt.engine.inference.continuation import Ending
from mypt.format.errors import ConfigError
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.extension import NewTokens, extend_tokenizer


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


def test_a_stop_token_is_named_by_its_text_also_where_no_text_becomes_it():
    gpt2 = load_plugins().tokenizer("gpt2").build({})
    assert Ending.of(gpt2, 9, (), "<|endoftext|>").stop_tokens == {50256: "<|endoftext|>"}


def test_a_text_ends_with_a_turn_where_the_model_has_turns():
    gpt2, plugins = load_plugins().tokenizer("gpt2").build({}), load_plugins()
    assert Ending.of(gpt2, 9, (), (), stop_at_end=None).stop_tokens == {}
    assert Ending.of(gpt2, 9, (), (), stop_at_end=True).stop_tokens == {50256: "<|endoftext|>"}
    turns = extend_tokenizer(gpt2, NewTokens.of({"turn_end": "<|end|>"}), plugins)
    ends = {50257: "<|end|>", 50256: "<|endoftext|>"}
    assert Ending.of(turns, 9, (), (), stop_at_end=None).stop_tokens == ends
    assert Ending.of(turns, 9, (), (), stop_at_end=False).stop_tokens == {}
    assert Ending.of(turns, 9, (), ()).stop_tokens == {}
    templated = extend_tokenizer(gpt2, NewTokens(), plugins, chat_template="{{ messages }}")
    assert [*Ending.of(templated, 9, (), (), stop_at_end=None).stop_tokens] == [50256]


def test_a_model_without_an_end_cannot_stop_there():
    chars = load_plugins().tokenizer("char").train("abc")
    assert Ending.of(chars, 9, (), (), stop_at_end=None).stop_tokens == {}
    with pytest.raises(ConfigError, match="stop_at_end: is true, but no token of the model ends"):
        Ending.of(chars, 9, (), (), stop_at_end=True)
