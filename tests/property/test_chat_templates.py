"""Whatever messages say, the special tokens of a conversation are those that its template wrote."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mypt.chat.message import Message
from mypt.chat.shipped import SHIPPED
from mypt.chat.template import ChatTemplate
from mypt.format.errors import DataError
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.added_tokens import with_added_tokens
from mypt.tokenizers.gpt2 import Gpt2Tokenizer
from tests.support.chat_vocabularies import CHARS, tokenizer_for

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|user|>", "<|end|>", "<s>", "</s>", "[INST]", "[/INST]"]
OTHERS = {
    "pieces": "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}",
    "no border": "{% for m in messages %}<{{ m.content }}|im_end|>{{ m.content }}<|{% endfor %}",
    "trimmed": "{% for m in messages %}<|im_start|>{{ m.content | trim }}<|im_end|>{% endfor %}",
    "cut": "{% for m in messages %}<s>{{ m.content.split('x') | join }}</s>{% endfor %}",
    "reversed": "{% for m in messages %}<s>{{ m.content[::-1] | lower }}</s>{% endfor %}",
    "sliced": "{% for m in messages %}[INST]{{ m.content[1:] }}[/INST]{{ m.x }}{% endfor %}",
    "tojson": "{% for m in messages %}<s>{{ m | tojson }}</s>{% endfor %}",
    "block": "{% for m in messages %}{% set t %}{{ m.content }}{% endset %}<s>{{ t }}{% endfor %}",
}
PARTS = [
    *SPECIAL,
    "<",
    "|",
    ">",
    "<|",
    "|>",
    "im_end|>",
    "x",
    "<|im_x",
    "end",
    "user",
    "\U000f0000",
]
PARTS += ["\U000f0003", "\U000f0020", " ", "\n", "</myPT_assistant>", "<|endoftext|>", "é", "s>"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=6).map("".join)
TALKS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXTS), max_size=4)


def make_bpe():
    factory = load_plugins().tokenizer("bpe")
    tokenizer = factory.trained_on(
        ["<|im_end|> the user [INST] </s> é\n" * 50], {"vocab_size": 280}
    )
    document = tokenizer.state()
    section = document["plugins"]["mypt-bpe"]["tokenizer"]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    size = tokenizer.n_vocab
    section["added_tokens"] += [
        {"id": size + n, "content": text, "special": n % 2 == 0, **plain}
        for n, text in enumerate(SPECIAL)
    ]
    return factory.build(document)


GPT2 = with_added_tokens(
    Gpt2Tokenizer(), {"special_token_encoder": {t: 50257 + n for n, t in enumerate(SPECIAL)}}
)
BPE = make_bpe()
ALL_CHARS = type(CHARS)([*CHARS.chars, *"\U000f0000\U000f0003\U000f0020"])
TEMPLATES = {
    **{
        f"{name} {inner.token_kind}": ChatTemplate.of(tokenizer_for(name, inner), name)
        for name in SHIPPED
        for inner in (Gpt2Tokenizer(), ALL_CHARS)
    },
    **{f"{name} gpt2": ChatTemplate.of(GPT2, source) for name, source in OTHERS.items()},
    **{f"{name} bpe": ChatTemplate.of(BPE, source) for name, source in OTHERS.items()},
}


def special_ids(template, messages):
    ids = encode(template, messages).ids
    return [number for number in ids if number in template.special.values()]


def encode(template, messages):
    """Return the tokens; a template that ships refuses nothing, another one may."""
    try:
        return template.encode(messages, add_generation_prompt=True)
    except DataError:
        assume(template.name)
        raise


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@settings(max_examples=25)
@given(talk=TALKS)
def test_special_tokens_are_only_where_the_template_wrote_them(template, talk):
    messages = [Message(role=role, content=text, fields={"x": text}) for role, text in talk]
    harmless = [
        Message(role=one.role, content="o" * len(one.content), fields={"x": "o"})
        for one in messages
    ]
    assert special_ids(template, messages) == special_ids(template, harmless)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@settings(max_examples=15)
@given(talk=TALKS)
def test_the_ids_spell_what_the_template_renders(template, talk):
    messages = [Message(role=role, content=text) for role, text in talk]
    chat = encode(template, messages)
    assert template.tokenizer.decode(chat.ids) == chat.text
