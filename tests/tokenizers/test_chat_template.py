"""A tokenizer is given a chat template, and of its tokens what it does not have."""

import pytest

from mypt.chat.shipped import SHIPPED
from mypt.format.errors import ConfigError
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.chat_template import give_template
from mypt.tokenizers.extension import NewTokens, extend_tokenizer

PLUGINS = load_plugins()
CHAR = PLUGINS.tokenizer("char").train("some words\n")


def read_roles(tokenizer):
    """Return the texts of the tokens with each role."""
    roles = tokenizer.state()["special_tokens"]
    listed = {role: [n] if isinstance(n, int) else [*n] for role, n in roles.items()}
    return {role: [tokenizer.decode([n]) for n in ids] for role, ids in listed.items()}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_template_brings_its_tokens_and_their_roles(name):
    made, shipped = give_template(CHAR, name, PLUGINS), SHIPPED[name]
    assert made.state()["chat_template"] == shipped.source
    assert set(shipped.tokens) <= set(made.state()["special_token_encoder"])
    roles = read_roles(made)
    assert {role: roles[role][0] for role in shipped.fixed_roles} == dict(shipped.fixed_roles)
    assert roles["eos"] == [shipped.fixed_roles.get("eos", "<|endoftext|>")]
    assert made.encode("some words") == CHAR.encode("some words")


def test_what_ends_a_turn_already_goes_on_to_do_so_behind_that_of_the_template():
    before = extend_tokenizer(CHAR, NewTokens.of({"turn_end": "<|mine|>"}), PLUGINS)
    roles = read_roles(give_template(before, "chatml", PLUGINS))
    assert roles["turn_end"] == ["<|im_end|>", "<|mine|>"]


def test_a_token_that_ends_a_text_already_is_not_added_again():
    before = extend_tokenizer(CHAR, NewTokens.of({"eos": "<|stop|>"}), PLUGINS)
    made = give_template(before, "chatml", PLUGINS)
    assert read_roles(made)["eos"] == ["<|stop|>"]
    assert "<|endoftext|>" not in made.state()["special_token_encoder"]


def test_giving_the_same_template_twice_changes_nothing():
    once = give_template(CHAR, "mypt", PLUGINS)
    assert give_template(once, "mypt", PLUGINS).state() == once.state()


def test_a_file_with_a_template_needs_only_what_ends_a_text(tmp_path):
    (tmp_path / "mine.jinja").write_text("{{ messages[0].content }}{{ eos_token }}\n")
    made = give_template(CHAR, str(tmp_path / "mine.jinja"), PLUGINS)
    assert made.state()["chat_template"] == "{{ messages[0].content }}{{ eos_token }}"
    assert read_roles(made) == {"eos": ["<|endoftext|>"]}


def test_a_name_that_is_neither_a_template_nor_a_file_is_refused():
    with pytest.raises(ConfigError, match=r"chatnl.*choose from chatml, llama3, mypt, plain"):
        give_template(CHAR, "chatnl", PLUGINS)
