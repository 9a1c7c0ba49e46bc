"""What a bundle says of texts is what `transformers` does with its export."""

import json

import pytest

import mypt
from mypt.api.export import export_model
from mypt.chat.shipped import SHIPPED
from mypt.export.hugging_face.text_rules import with_begin_ids
from mypt.format.errors import FormatError
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.chat_template import give_template

PLUGINS = load_plugins()
SIZES = {"block_size": 16, "n_embd": 8, "n_head": 1, "n_layer": 1, "head_bias": False}
SPECIAL = {"<|endoftext|>": 50256, "<eot>": 50257, "<pad>": 50258, "<bos>": 50259}
CHAT = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '<eot>' }}{% endfor %}"
HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def bundle(tmp_path):
    tokenizer = PLUGINS.tokenizer("gpt2").build({"special_token_encoder": SPECIAL})
    config = mypt.GPTConfig(**SIZES, vocab_size=tokenizer.vocab_size)
    mypt.GPT(config, tokenizer, plugins=PLUGINS).save(tmp_path / "model")
    return tmp_path / "model"


def edit(bundle, **fields):
    file = bundle / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def exported(bundle, tmp_path, transformers, name="hf"):
    export_model(bundle, "hf", tmp_path / name, plugins=PLUGINS)
    ends = transformers.GenerationConfig.from_pretrained(tmp_path / name)
    return transformers.AutoTokenizer.from_pretrained(tmp_path / name), ends


def test_roles_templates_and_the_bos_are_exported_and_read_back(bundle, tmp_path, transformers):
    roles = {"bos": [50259], "eos": [50257, 50256], "pad": 50258, "turn_end": [50257]}
    more = {"tool_use": "{{ tools }}"}
    edit(bundle, special_tokens=roles, add_bos=True, chat_template=CHAT)
    edit(bundle, additional_chat_templates=more)
    theirs, ends = exported(bundle, tmp_path, transformers)
    assert (theirs.bos_token, theirs.eos_token, theirs.pad_token) == ("<bos>", "<eot>", "<pad>")
    assert (ends.bos_token_id, ends.pad_token_id) == (50259, 50258)
    assert ends.eos_token_id == [50257, 50256]
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["eos_token_id"] == [
        50257,
        50256,
    ]
    assert theirs.apply_chat_template(HI, tokenize=False) == "user: Hi<eot>"
    assert theirs.chat_template["tool_use"] == more["tool_use"]
    ours = mypt.load(bundle)
    prompt = next(ours.generate_many(["Hi there"], 0)).prompt_ids
    assert theirs.encode("Hi there") == list(prompt)
    again = mypt.load(tmp_path / "hf")
    assert again.tokenizer_state.special_tokens == ours.tokenizer_state.special_tokens
    assert again.begin_ids == ours.begin_ids == (50259,)
    assert again.tokenizer_state.chat_template == CHAT
    assert again.tokenizer_state.additional_chat_templates == more


def test_the_plain_template_ends_turns_by_the_token_of_gpt2(tmp_path, plugins, transformers):
    tokenizer = give_template(plugins.tokenizer("gpt2").train(""), "plain", plugins)
    config = mypt.GPTConfig(**SIZES, vocab_size=tokenizer.vocab_size)
    mypt.GPT(config, tokenizer, plugins=plugins).save(tmp_path / "model")
    theirs, ends = exported(tmp_path / "model", tmp_path, transformers)
    ours = mypt.ChatTemplate.of(tokenizer).encode([mypt.Message(**HI[0])])
    assert theirs.apply_chat_template(HI, return_dict=False) == [*ours.ids]
    assert ends.eos_token_id == ours.ids[-1] == 50256


def test_what_is_edited_after_reading_counts_in_the_export(fixtures, tmp_path, transformers):
    mypt.load(fixtures / "neighbours" / "tok_llama_like").save(tmp_path / "model")
    state = json.loads((tmp_path / "model" / "tokenizer.json").read_text())
    assert (state["special_tokens"]["bos"], state["add_bos"]) == ([1], True)
    edit(tmp_path / "model", add_bos=False, chat_template=CHAT)
    edit(tmp_path / "model", special_tokens={**state["special_tokens"], "eos": [2]})
    theirs, ends = exported(tmp_path / "model", tmp_path, transformers)
    ours = mypt.load(tmp_path / "model")
    assert ours.begin_ids == ()
    assert theirs.encode("Hello") == ours.tokenizer.encode("Hello")
    assert (ends.eos_token_id, theirs.eos_token_id) == (2, 2)
    assert theirs.chat_template == CHAT


def test_a_bos_without_a_token_cannot_be_exported():
    tokenizer = {"model": {"vocab": {"a": 0}}}
    with pytest.raises(FormatError, match="/special_tokens/bos: names the id 3, which is no token"):
        with_begin_ids(tokenizer, (3,))
    assert with_begin_ids(tokenizer, ()) == tokenizer


def test_a_model_with_the_marks_of_mypt_is_exported_with_its_template(tmp_path, transformers):
    texts = [*SHIPPED["mypt"].tokens]
    special = {text: 50257 + number for number, text in enumerate(texts)}
    tokenizer = PLUGINS.tokenizer("gpt2").build({"special_token_encoder": special})
    config = mypt.GPTConfig(**SIZES, vocab_size=tokenizer.vocab_size)
    mypt.GPT(config, tokenizer, plugins=PLUGINS).save(tmp_path / "model")
    edit(tmp_path / "model", chat_template=None)
    theirs, ends = exported(tmp_path / "model", tmp_path, transformers)
    said = theirs.apply_chat_template(HI, tokenize=False, add_generation_prompt=True)
    assert said == "<myPT_user>Hi</myPT_user><myPT_assistant>"
    assert special["</myPT_assistant>"] in ends.eos_token_id
    again = mypt.load(tmp_path / "hf")
    assert mypt.ChatTemplate.of(again.need_tokenizer()).name == "mypt"
