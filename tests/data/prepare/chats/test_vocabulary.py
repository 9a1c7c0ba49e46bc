import pytest

from mypt.chat.shipped import SHIPPED
from mypt.data.prepare.chats.forms import read_chat
from mypt.data.prepare.chats.vocabulary import list_texts, make_renderer
from mypt.format.errors import ConfigError
from mypt.tokenizers.extension import NewTokens, extend_tokenizer
from tests.support.chats import chat

TURNS = ("user", "Hi"), ("assistant", "Hö!")


@pytest.fixture
def char(plugins):
    return plugins.tokenizer("char").train("UserAssistant: \nHiö!")


def state_of(tokenizer, chosen, plugins):
    return make_renderer(tokenizer, chosen, plugins).template.tokenizer.state()


def test_the_plain_template_is_the_default_and_adds_what_ends_a_text(char, plugins):
    state = state_of(char, None, plugins)
    assert state["special_token_encoder"] == {"<|endoftext|>": char.n_vocab}
    assert state["special_tokens"] == {"eos": [char.n_vocab]}
    assert state["chat_template"] == SHIPPED["plain"].source
    gpt2 = state_of(plugins.tokenizer("gpt2").train(""), None, plugins)
    assert gpt2["special_tokens"]["eos"] == [50256]
    assert not gpt2.get("special_token_encoder")


def test_a_shipped_template_brings_its_tokens_and_what_ends_a_turn(char, plugins):
    state = state_of(char, "chatml", plugins)
    ids = state["special_token_encoder"]
    assert list(ids) == ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    assert state["special_tokens"]["turn_end"] == [ids["<|im_end|>"]]
    gpt2 = state_of(plugins.tokenizer("gpt2").train(""), "llama3", plugins)
    assert gpt2["special_tokens"]["bos"] == [50256]  # it has one


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_template_can_be_given_to_any_vocabulary(name, char, plugins):
    again = make_renderer(char, name, plugins)
    assert again.template.name == name
    if name != "llama3" and name != "chatml":
        again.render(read_chat(chat(*TURNS)))
    same = make_renderer(again.template.tokenizer, None, plugins).template.tokenizer
    assert same.state() == again.template.tokenizer.state()


def test_the_own_template_of_a_tokenizer_goes_first(char, plugins):
    own = extend_tokenizer(
        char,
        NewTokens(("<e>",), {"turn_end": ("<e>",)}),
        plugins,
        chat_template="{% for m in messages %}{{ m.content }}<e>{% endfor %}",
    )
    state = state_of(own, None, plugins)
    assert state["chat_template"].startswith("{% for m in messages %}{{ m.content }}<e>")
    assert list(state["special_token_encoder"]) == ["<e>", "<|endoftext|>"]  # for completions


def test_a_new_vocabulary_learns_all_that_is_rendered_but_no_special_token(plugins):
    chats = [read_chat(chat(*TURNS)), read_chat({"prompt": "1+", "completion": "2"})]
    assert list(list_texts(chats, None, plugins)) == ["User: Hi", "\nAssistant: Hö!", "1+2"]
    assert "".join(list_texts(chats[:1], "chatml", plugins)) == "user\nHi\nassistant\nHö!\n"


def test_a_template_that_is_nowhere_is_refused(char, plugins, tmp_path):
    with pytest.raises(ConfigError, match=r"is 'chatm1', which is neither .* choose from chatml"):
        make_renderer(char, "chatm1", plugins)
    (tmp_path / "bad.jinja").write_text("{% for %}")
    with pytest.raises(ConfigError, match="is no template"):
        make_renderer(char, str(tmp_path / "bad.jinja"), plugins)
