"""Where the answers are, in templates of all kinds."""

import pytest

from mypt.chat.message import Message
from mypt.chat.template import ChatTemplate
from mypt.format.errors import DataError
from mypt.tokenizers.gpt2 import Gpt2Tokenizer

TOKENIZER = Gpt2Tokenizer({"<u>": 50257, "<a>": 50258, "<e>": 50259, "<eot>": 50260})
TURN = "{{ '<' + m.role[0] + '>' + m.content + '<e>' }}"
LOOP = "{% for m in messages %}" + TURN + "{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<a>{% endif %}"
TALK = (
    Message(role="user", content="Hi"),
    Message(role="assistant", content="Ho"),
    Message(role="user", content="More"),
    Message(role="assistant", content="Less"),
)


def learnt(source, talk=TALK, tokenizer=TOKENIZER):
    chat = ChatTemplate.of(tokenizer, source).encode(talk)
    ids = [n for n, weight in zip(chat.ids, chat.weights, strict=True) if weight]
    return tokenizer.decode(ids)


def test_what_follows_the_prompt_is_the_answer_and_its_end():
    assert learnt(LOOP + PROMPT) == "Ho<e>Less<e>"


def test_what_is_written_after_the_end_of_a_turn_is_no_answer():
    lines = LOOP.replace("<e>'", "<e>\\n'")
    assert learnt(lines + PROMPT) == "Ho<e>Less<e>"


def test_an_end_of_the_text_stands_after_the_last_turn_alone():
    source = LOOP + "{% if not add_generation_prompt %}<eot>{% endif %}" + PROMPT
    assert learnt(source) == "Ho<e>Less<e>"


def test_a_template_that_refuses_a_conversation_of_no_answer_works():
    refusing = (
        "{% if messages | length == 1 and not add_generation_prompt %}"
        "{{ raise_exception('no') }}{% endif %}"
    )
    assert learnt(refusing + LOOP + PROMPT) == "Ho<e>Less<e>"


def test_another_prompt_than_the_answers_have_is_refused():
    source = LOOP + PROMPT.replace("<a>", "<a>think:")
    with pytest.raises(DataError, match="another text before an answer than it prompts"):
        learnt(source)
    prompt = ChatTemplate.of(TOKENIZER, source).encode(TALK[:3], add_generation_prompt=True)
    assert prompt.text.endswith("<a>think:")


def test_an_answer_that_changes_when_others_follow_is_refused():
    source = LOOP.replace("m.content", "(m.content if loop.last else 'said')") + PROMPT
    with pytest.raises(DataError, match=r"(another text before|in another way when others follow)"):
        learnt(source)


def test_an_answer_without_an_end_is_refused():
    source = LOOP.replace(" + '<e>'", " + '\\n'") + PROMPT
    with pytest.raises(DataError, match="no special token at the end of an answer"):
        learnt(source)


def test_marked_answers_are_those_of_the_messages():
    marked = (
        "{% for m in messages %}{{ '<' + m.role[0] + '>' }}{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}{% endgeneration %}"
        "{% generation %}<e>{% endgeneration %}{% else %}{{ m.content }}<e>{% endif %}{% endfor %}"
    )
    assert learnt(marked) == "Ho<e>Less<e>"
    light = (*TALK[:3], Message(role="assistant", content="Less", weight=0))
    assert learnt(marked, light) == "Ho<e>"


def test_the_weight_of_another_message_is_that_of_its_turn():
    talk = (Message(role="user", content="Hi", weight=1), *TALK[1:])
    assert learnt(LOOP + PROMPT, talk) == "<u>Hi<e>Ho<e>Less<e>"


def test_a_template_that_renders_messages_only_together_has_turns_all_the_same():
    source = (
        "{% for m in messages %}{% if m.role == 'system' %}{% if messages | length == 1 %}"
        "{{ raise_exception('alone') }}{% endif %}{% else %}" + TURN + "{% endif %}{% endfor %}"
    )
    talk = (Message(role="system", content="Be kind"), *TALK)
    chat = ChatTemplate.of(TOKENIZER, source + PROMPT).encode(talk)
    assert chat.turns[0] == (0, 0)
    assert chat.turns[-1][1] == len(chat.ids)
