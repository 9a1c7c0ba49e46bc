from mypt.chat.template_tokens import find_template_tokens, find_variables
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.extension import NewTokens, extend_tokenizer

PLUGINS = load_plugins()
GPT2 = PLUGINS.tokenizer("gpt2").build({})
CHAR = PLUGINS.tokenizer("char").train("some words\n")


def test_variables_are_the_first_tokens_of_their_roles():
    assert find_variables(CHAR) == {}
    assert find_variables(GPT2) == {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    made = extend_tokenizer(CHAR, NewTokens.of({"eos": ["<a>", "<b>"], "pad": "<p>"}), PLUGINS)
    assert find_variables(made) == {"eos_token": "<a>", "pad_token": "<p>"}


def test_a_template_may_write_the_special_tokens():
    made = extend_tokenizer(CHAR, NewTokens.of({"turn_end": "<|end|>"}), PLUGINS)
    assert find_template_tokens(made, "") == {"<|end|>": CHAR.n_vocab}
    assert find_template_tokens(GPT2, "") == {"<|endoftext|>": 50256}
