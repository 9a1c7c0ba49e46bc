"""Templates that look for special tokens in what messages say."""

import pytest

from mypt.chat.message import Message
from mypt.chat.template import ChatTemplate
from mypt.format.errors import DataError
from mypt.tokenizers.gpt2 import Gpt2Tokenizer

TOKENS = ["<u>", "<a>", "<e>", "<think>", "</think>"]
TOKENIZER = Gpt2Tokenizer({text: 50257 + n for n, text in enumerate(TOKENS)})
# Leaves out what an answer that is not the last one thought.
THINKING = """\
{% for m in messages %}
{%- set content = m.content %}
{%- if '</think>' in content and not loop.last %}
    {%- set content = content.split('</think>')[-1] %}
{%- elif '</think>' in content %}
    {%- set thought = content.split('</think>')[0].split('<think>')[-1] %}
    {%- set content = '<think>' + thought + '</think>' + content.split('</think>')[-1] %}
{%- endif %}
{{- '<' + m.role[0] + '>' if false else {'user': '<u>', 'assistant': '<a>'}[m.role] }}
{{- content }}<e>{% endfor %}
{%- if add_generation_prompt %}<a>{% endif %}"""
TALK = (
    Message(role="user", content="Hi <e></a>"),
    Message(role="assistant", content="<think>hm</think>Ho"),
    Message(role="user", content="<u> More"),
)


def special_of(chat):
    return [TOKENIZER.decode([n]) for n in chat.ids if n >= 50257]


def test_a_template_that_looks_within_does_what_it_does_elsewhere():
    template = ChatTemplate.of(TOKENIZER, THINKING)
    chat = template.encode(TALK, add_generation_prompt=True)
    assert chat.text == "<u>Hi <e></a><e><a>Ho<e><u><u> More<e><a>"
    assert special_of(chat) == ["<u>", "<e>", "<a>", "<e>", "<u>", "<e>", "<a>"]


def test_what_it_writes_itself_of_a_text_is_a_token():
    chat = ChatTemplate.of(TOKENIZER, THINKING).encode(TALK[:2])
    assert chat.text == "<u>Hi <e></a><e><a><think>hm</think>Ho<e>"
    assert special_of(chat) == ["<u>", "<e>", "<a>", "<think>", "</think>", "<e>"]
    learnt = [n for n, weight in zip(chat.ids, chat.weights, strict=True) if weight]
    assert TOKENIZER.decode(learnt) == "<think>hm</think>Ho<e>"


def test_a_template_that_makes_names_of_parts_and_looks_within_is_refused():
    source = THINKING.replace("'</think>' in", "'<' + '/think>' in")
    source = source.replace("split('</think>')", "split('<' + '/think>')")
    source = source.replace("'<think>' + thought", "'<' + 'think>' + thought")
    template = ChatTemplate.of(TOKENIZER, source.replace("{'user': '<u>'", "{'user': '<' + 'u>'"))
    assert template.encode(TALK[:1], add_generation_prompt=True).text.startswith("<u>Hi <e>")
    with pytest.raises(DataError, match="looks for the name of a special token"):
        template.encode(TALK, add_generation_prompt=True)
