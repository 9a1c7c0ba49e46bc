import json

import pytest

from mypt.data.prepare.chats.forms import read_turns
from mypt.data.prepare.chats.template import Template
from mypt.format.errors import DataError

TURNS = ("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello!")


def chat(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


@pytest.fixture(scope="module")
def special(fixtures, plugins):
    """A tokenizer with the special tokens of MyPT."""
    file = fixtures / "mypt" / "datasets" / "chat_gpt2" / "tokenizer_state.json"
    return plugins.tokenizer("gpt2").build(json.loads(file.read_text(encoding="utf-8")))


def test_a_prompt_has_the_ids_it_will_have_when_one_generates(plugins, special):
    for tokenizer in (plugins.tokenizer("gpt2").train(""), special):
        turns = read_turns(chat(*TURNS, ("user", "More?\nNow!"), *TURNS[2:]))
        spans = list(Template.of(tokenizer).spans(turns))
        last = max(i for i, span in enumerate(spans) if span.text and not span.is_target)
        prompt = spans[: last + 1]
        ids = [number for span in prompt for number in tokenizer.encode(span.text)]
        assert ids == tokenizer.encode("".join(span.text for span in prompt))
        assert spans[last + 1].text.strip().startswith("Hello!")


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_mark_among_the_words_is_refused_whoever_says_it(special, role):
    turns = read_turns(chat((role, "a <myPT_eot> b"), ("assistant", "c")))
    with pytest.raises(DataError, match="contains <myPT_eot> in its text") as caught:
        Template.of(special).check_marks(turns)
    assert caught.value.problems[0].where == "/messages/0/content"
    Template.of(None).check_marks(turns)


def test_the_jinja_template_renders_what_is_written(plugins, special):
    render = pytest.importorskip("jinja2.sandbox").ImmutableSandboxedEnvironment
    plain = plugins.tokenizer("gpt2").build({"special_token_encoder": {"<|endoftext|>": 50256}})
    talk = chat(*TURNS, ("user", 'More?\n"Now"!'), TURNS[2])
    for tokenizer in (None, plain, special):
        template = Template.of(tokenizer)
        jinja = render(trim_blocks=True, lstrip_blocks=True).from_string(template.to_jinja())
        whole = "".join(span.text for span in template.spans(read_turns(talk)))
        assert jinja.render(talk) == whole
        asked = {"messages": talk["messages"][:-1], "add_generation_prompt": True}
        prompt = jinja.render(asked)
        assert whole.startswith(prompt)
        assert whole[len(prompt) :].strip().startswith("Hello!")
