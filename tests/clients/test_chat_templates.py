"""`transformers` makes the same tokens of conversations, by its templates and by ours."""

import json

import pytest

import mypt
from mypt.chat.message import Message
from mypt.chat.shipped import SHIPPED
from mypt.chat.template import ChatTemplate
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.added_tokens import with_added_tokens
from tests.support.chat_vocabularies import tokenizer_for
from tests.support.exported_models import TEXT, export

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

PLUGINS = load_plugins()
CALL = {"type": "function", "function": {"name": "sit", "arguments": {"on": "the mat"}}}
TALK = (
    Message(role="user", content="the cat sat"),
    Message(role="assistant", content="the red door"),
    Message(role="user", content=" a mat "),
    Message(role="assistant", content="ok"),
)
TOOLS = (
    Message(role="system", content="the dog ran\nto"),
    Message(role="user", content="sat on"),
    Message(role="assistant", content="", fields={"tool_calls": [CALL, CALL]}),
    Message(role="tool", content="on the mat"),
    Message(role="assistant", content="the mat"),
)
NAMES = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<turn>", "<turn/>"]
OTHERS = {
    "chatml without spans": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + "
    "m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "words for turns": "{% for m in messages %}{% if m.role == 'user' %}"
    "{{ bos_token + '[ask] ' + m.content.strip() + ' [/ask]' }}{% else %}"
    "{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "another role": "{{ bos_token }}{% for m in messages %}"
    "{% set role = 'model' if m.role == 'assistant' else m.role %}"
    "{{ '<turn>' + role + '\n' + m.content | trim + '<turn/>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}",
    "lines": "{% for m in messages %}\n{% if m.role == 'user' %}\n{{ '[ask]\n' + m.content + "
    "eos_token }}\n{% else %}\n{{ '[say]\n' + m.content + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '[say]' }}\n{% endif %}\n{% endfor %}",
}


def ids_of(theirs, talk, **options):
    said = [{**one.fields, "role": one.role, "content": one.content} for one in talk]
    found = theirs.apply_chat_template(said, tokenize=True, **options)
    return list(found["input_ids"] if hasattr(found, "keys") else found)


def text_of(theirs, talk, **options):
    said = [{**one.fields, "role": one.role, "content": one.content} for one in talk]
    return theirs.apply_chat_template(said, tokenize=False, **options)


def check_equal(template, theirs, talk):
    whole = template.encode(talk)
    assert whole.text == text_of(theirs, talk)
    assert list(whole.ids) == ids_of(theirs, talk)
    for count, message in enumerate(talk):
        if message.role == "assistant":
            prompt = template.encode(talk[:count], add_generation_prompt=True)
            assert list(prompt.ids) == ids_of(theirs, talk[:count], add_generation_prompt=True)
            assert whole.ids[: len(prompt.ids)] == prompt.ids
            assert whole.weights[len(prompt.ids)] == 1


@pytest.mark.parametrize("name", ["tok_llama_like", "tok_added", "tok_wordpiece"])
def test_the_template_of_a_folder_makes_the_same_tokens(fixtures, name):
    folder = fixtures / "neighbours" / name
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    more = {"additional_special_tokens": NAMES[2:]}
    theirs.add_special_tokens({"bos_token": NAMES[0], "eos_token": NAMES[1], **more})
    document = json.loads(theirs.backend_tokenizer.to_str())
    section = {"plugins": {"mypt-bpe": {"tokenizer": document}}}
    roles = {"bos": [theirs.bos_token_id], "eos": [theirs.eos_token_id]}
    inner = PLUGINS.tokenizer("bpe").build(section)
    ours = with_added_tokens(inner, {"special_tokens": roles})
    for source in OTHERS.values():
        theirs.chat_template = source
        check_equal(ChatTemplate.of(ours, source), theirs, TALK)


@pytest.mark.parametrize("kind", ["char", "gpt2", "bpe"])
def test_the_shipped_templates_are_exported_and_make_the_same_tokens(tmp_path, kind):
    text = TEXT + '\n{}",:_/<|>=#@' + "".join(map(chr, range(65, 123)))
    options = {"vocab_size": 290} if kind == "bpe" else None
    inner = PLUGINS.tokenizer(kind).trained_on([text * 9], options)
    shown = {"plain": SHIPPED["plain"]} if kind == "gpt2" else SHIPPED  # its files are large
    for name, shipped in shown.items():
        plain = tokenizer_for(name, inner)
        ours = with_added_tokens(plain, {"chat_template": shipped.source})
        sizes = {"n_layer": 1, "n_embd": 8, "n_head": 1, "block_size": 8, "head_bias": False}
        config = mypt.GPTConfig(vocab_size=ours.vocab_size, **sizes)
        mypt.GPT(config, ours, plugins=PLUGINS).save(tmp_path / name)
        export(tmp_path / name, tmp_path / "hf" / name)
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf" / name)
        check_equal(ChatTemplate.of(ours), theirs, TOOLS)
        again = mypt.load(tmp_path / "hf" / name)
        read = ChatTemplate.of(again.need_tokenizer())
        assert read.name == name
        assert read.encode(TOOLS) == ChatTemplate.of(ours).encode(TOOLS)
        assert set(ChatTemplate.of(ours).stops) <= set(read.stops)
