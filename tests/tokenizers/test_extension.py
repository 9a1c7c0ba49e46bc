"""Special tokens are given to any tokenizer, and none of its ids changes."""

import pytest

from mypt.format.errors import ConfigError
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.extension import NewTokens, describe_difference, extend_tokenizer, find_new_ids

PLUGINS = load_plugins()
GPT2 = PLUGINS.tokenizer("gpt2").build({})
CHAR = PLUGINS.tokenizer("char").train("some words\n")
WANTED = NewTokens.of(
    {"turn_end": "<|end|>", "user": "<|user|>", "eos": ["<|endoftext|>"], "additional": ["<x>"]}
)


def test_new_ids_follow_those_that_there_are():
    char = extend_tokenizer(CHAR, WANTED, PLUGINS)
    n = CHAR.n_vocab
    special = {"<|end|>": n, "<|user|>": n + 1, "<|endoftext|>": n + 2, "<x>": n + 3}
    assert char.state()["special_token_encoder"] == special
    assert char.state()["special_tokens"] == {"turn_end": [n], "user": n + 1, "eos": [n + 2]}
    assert char.encode("some words") == CHAR.encode("some words")
    assert (char.n_vocab, char.vocab_size) == (n + 4, n + 4)
    assert find_new_ids(char, CHAR) == [n, n + 1, n + 2, n + 3]


def test_those_of_gpt2_lie_in_its_padding_and_its_own_keeps_its_id():
    gpt2 = extend_tokenizer(GPT2, WANTED, PLUGINS)
    special = {"<|end|>": 50257, "<|user|>": 50258, "<x>": 50259}
    assert gpt2.state()["special_token_encoder"] == special
    roles = gpt2.state()["special_tokens"]
    assert roles == {"bos": [50256], "eos": [50256], "turn_end": [50257], "user": 50258}
    assert (gpt2.n_vocab, gpt2.vocab_size) == (50260, 50304)
    assert find_new_ids(gpt2, GPT2) == [50257, 50258, 50259]


@pytest.mark.parametrize("tokenizer", [CHAR, GPT2])
def test_what_it_has_is_not_added_again(tokenizer):
    once = extend_tokenizer(tokenizer, WANTED, PLUGINS)
    assert extend_tokenizer(once, WANTED, PLUGINS).state() == once.state()
    more = extend_tokenizer(once, NewTokens.of({"turn_end": "<|stop|>"}), PLUGINS)
    assert find_new_ids(more, once) == [once.n_vocab]
    assert more.state()["special_tokens"]["turn_end"] == [once.n_vocab]
    assert more.state()["special_tokens"]["user"] == once.encode("<|user|>")[0]


def test_a_template_comes_with_them():
    made = extend_tokenizer(CHAR, NewTokens(), PLUGINS, chat_template="{{ messages }}")
    assert made.state()["chat_template"] == "{{ messages }}"
    assert made.n_vocab == CHAR.n_vocab
    again = extend_tokenizer(made, WANTED, PLUGINS)
    assert again.state()["chat_template"] == "{{ messages }}"


@pytest.mark.parametrize(
    ("tokenizer", "text"), [(CHAR, "s"), (CHAR, "\n"), (GPT2, "END"), (GPT2, " the")]
)
def test_an_ordinary_token_is_refused(tokenizer, text):
    with pytest.raises(ConfigError, match="which is an ordinary token that any text may hold"):
        extend_tokenizer(tokenizer, NewTokens.of({"turn_end": text}), PLUGINS)


def test_a_setting_is_checked_as_a_whole():
    setting = {
        "stop": "<a>",
        "user": ["<b>", "<c>"],
        "eos": [],
        "pad": "",
        "additional": ["d", "d"],
    }
    with pytest.raises(ConfigError) as caught:
        NewTokens.of(setting)
    assert [problem.where for problem in caught.value.problems] == [
        f"special_tokens/{role}" for role in setting
    ]


def test_an_extension_is_told_from_another_tokenizer():
    wider = extend_tokenizer(CHAR, WANTED, PLUGINS).state()
    assert describe_difference(wider, CHAR.state()) is None
    assert describe_difference(CHAR.state(), wider) == f"'<|end|>' is not its token {CHAR.n_vocab}"
    other = PLUGINS.tokenizer("char").train("other words")
    assert describe_difference(other.state(), CHAR.state()) == "its chars differs"
    assert describe_difference(GPT2.state(), CHAR.state()) in (
        "its token_kind differs",
        "its chars differs",
    )
