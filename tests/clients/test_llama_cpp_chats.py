"""The real llama.cpp makes the same prompts of conversations, by the templates of our files."""

import pytest

import mypt
from mypt.api.export import export_model
from mypt.chat.message import Message
from mypt.chat.shipped import SHIPPED
from mypt.chat.template import ChatTemplate
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.added_tokens import with_added_tokens
from tests.support.chat_vocabularies import tokenizer_for
from tests.support.exported_models import ARCHITECTURES, TEXT
from tests.support.llama_cpp import LlamaCpp

PLUGINS = load_plugins()
SIZES = {"n_layer": 1, "n_embd": 32, "n_head": 1, "block_size": 128, "head_bias": False}
TALK = (
    Message(role="system", content="the dog"),
    Message(role="user", content="the cat"),
    Message(role="assistant", content="on"),
    Message(role="user", content="sat"),
)


@pytest.mark.parametrize("name", SHIPPED)
def test_llama_cpp_writes_the_same_prompt(tmp_path, name):
    text = TEXT + "".join(map(chr, range(33, 123)))
    inner = PLUGINS.tokenizer("bpe").trained_on([text * 9], {"vocab_size": 300})
    source = {"chat_template": SHIPPED[name].source}
    tokenizer = with_added_tokens(tokenizer_for(name, inner), source)
    architecture = ARCHITECTURES["llama_like"]
    config = mypt.GPTConfig(vocab_size=tokenizer.vocab_size, **SIZES, **architecture)
    mypt.GPT(config, tokenizer, plugins=PLUGINS).save(tmp_path / name)
    export_model(tmp_path / name, "gguf", tmp_path / "m.gguf", plugins=PLUGINS)
    answer = LlamaCpp(tmp_path / "m.gguf", length=128).answer(TALK)
    ours = ChatTemplate.of(tokenizer).encode(TALK, add_generation_prompt=True)
    assert answer["__verbose"]["prompt"] == ours.text
    assert answer["usage"]["prompt_tokens"] == len(ours.ids)
