import numpy as np
import pytest

from mypt.data.prepare.chats.forms import read_chat
from mypt.data.prepare.chats.vocabulary import make_renderer
from mypt.format.errors import DataError
from tests.support.chats import chat

TURNS = ("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello!")
CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
# One that renders tools, their calls and their results.
JINJA = """{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% generation %}\
{{ m.content }}{% for call in m.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}\
{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}\
{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}"""


@pytest.fixture(scope="module")
def renderer_of(plugins, tmp_path_factory):
    """Give the renderer of a template by its name or source, with GPT-2's vocabulary."""

    def call(chosen=None):
        if chosen is not None and "{" in chosen:
            file = tmp_path_factory.mktemp("template") / "template.jinja"
            file.write_text(chosen)
            chosen = str(file)
        return make_renderer(plugins.tokenizer("gpt2").train(""), chosen, plugins)

    return call


def parts(renderer, line):
    """What is rendered, in stretches that are learnt alike."""
    rendered, found = renderer.render(read_chat(line)), []
    for number, weight in zip(rendered.ids.tolist(), rendered.weights.tolist(), strict=True):
        text = renderer.template.tokenizer.decode([number])
        if found and found[-1][1] == weight:
            found[-1] = (found[-1][0] + text, weight)
        else:
            found.append((text, weight))
    return found


def test_every_answer_ends_with_what_ends_a_turn_and_has_its_weight(renderer_of):
    line = chat(*TURNS, ("user", "More?"), ("assistant", "No."))
    line["messages"][2]["weight"] = 0.5
    assert parts(renderer_of("chatml"), line) == [
        (
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n",
            0.0,
        ),
        ("Hello!<|im_end|>", 0.5),
        ("\n<|im_start|>user\nMore?<|im_end|>\n<|im_start|>assistant\n", 0.0),
        ("No.<|im_end|>", 1.0),
        ("\n", 0.0),
    ]


def test_a_completion_ends_with_what_ends_a_text_and_is_nobodys(renderer_of):
    line = {"prompt": "1+1=", "completion": "2"}
    assert parts(renderer_of(), line) == [("1+1=", 0.0), ("2<|endoftext|>", 1.0)]
    assert parts(renderer_of(), {"text": "a b", "weight": 0.5}) == [("a b<|endoftext|>", 0.5)]


def test_a_completion_is_an_answer_where_a_template_is_asked_for(renderer_of):
    line = {"prompt": "1+1=", "completion": "2", "weight": 0.25}
    assert parts(renderer_of("chatml"), line) == [
        ("<|im_start|>user\n1+1=<|im_end|>\n<|im_start|>assistant\n", 0.0),
        ("2<|im_end|>", 0.25),
        ("\n", 0.0),
    ]


def test_what_a_message_spells_is_no_special_token(renderer_of):
    for line in ({"prompt": "<|endoftext|>", "completion": "<|endoftext|>"}, chat(*TURNS)):
        rendered = renderer_of().render(read_chat(line))
        stops = np.flatnonzero(rendered.ids == 50256)
        assert len(stops) == (1 if "prompt" in line else 3)


def test_sizes_are_those_of_the_turns(renderer_of):
    rendered = renderer_of().render(read_chat({"prompt": "a b c", "completion": "d e"}))
    assert rendered.sizes == (3, 2)
    rendered = renderer_of("chatml").render(read_chat(chat(*TURNS)))
    assert sum(rendered.sizes) == len(rendered)
    assert len(rendered.sizes) == 3


def called(**fields):
    turns = [
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "7"},
        {"role": "assistant", "content": "B", **fields},
    ]
    return {"messages": turns, "tools": TOOLS}


def test_tools_their_calls_and_their_results_are_rendered_by_a_template_that_can(renderer_of):
    found = parts(renderer_of(JINJA), called())
    assert found[1] == ('{"name": "f", "arguments": {"x": 1}}<|endoftext|>', 1.0)
    assert "7<|endoftext|>" in found[2][0]
    assert '"parameters": {}' in found[-1][0]


@pytest.mark.parametrize(
    ("template", "pointer"),
    [
        ("chatml", "/tools"),
        (JINJA.replace("tools or []", "[]"), "/tools"),
        (JINJA.replace("m.tool_calls or []", "[]"), "/messages/1/tool_calls"),
        (JINJA.replace("{{ m.content }}{{ eos", "{% if m.role == 'user' %}A{% endif %}{{ eos"), ""),
    ],
)
def test_what_a_template_would_leave_out_is_refused_where_it_stands(renderer_of, template, pointer):
    with pytest.raises(DataError, match="is left out by the chat template") as caught:
        renderer_of(template).render(read_chat(called()))
    assert caught.value.problems[0].where == (pointer or "/messages/2/content")


def test_thoughts_that_a_template_does_not_read_are_refused(renderer_of):
    line = chat(*TURNS)
    line["messages"][2]["reasoning_content"] = "Hm."
    with pytest.raises(DataError, match="/messages/2/reasoning_content: is left out"):
        renderer_of().render(read_chat(line))


def test_a_template_that_does_not_end_its_answers_is_refused(renderer_of):
    renderer = renderer_of(JINJA.replace("{{ eos_token }}{% endgen", "{% endgen"))
    with pytest.raises(DataError, match="writes no special token at the end of an answer"):
        renderer.render(read_chat(chat(*TURNS)))


def test_a_conversation_that_its_template_refuses_is_named_with_its_words(renderer_of):
    strict = "{% if messages[0].content == 'B' %}{{ raise_exception('no such words') }}{% endif %}"
    with pytest.raises(DataError, match="no such words"):
        renderer_of(strict + JINJA).render(read_chat(chat(("user", "B"), ("assistant", "B"))))
