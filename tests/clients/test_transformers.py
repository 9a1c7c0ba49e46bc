"""`transformers` opens what `mypt export --to hf` writes, and continues texts as mypt does."""

import json

import pytest
import torch

import mypt
from tests.support.exported_models import TEXT, export, make_model

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

PROMPT = "the cat sat on"
CHATS = [
    [{"role": "user", "content": "Who sat?"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who sat?"},
        {"role": "assistant", "content": "the cat."},
        {"role": "user", "content": "where"},
    ],
]
TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture(scope="module")
def opened(exported):
    """The model and the tokenizer that `transformers` makes of the folder."""
    model = transformers.AutoModelForCausalLM.from_pretrained(exported.folder)
    return model.eval(), transformers.AutoTokenizer.from_pretrained(exported.folder)


def test_the_logits_are_equal(exported, opened):
    idx = torch.randint(exported.model.need_tokenizer().n_vocab, (2, 30))
    with torch.inference_mode():
        torch.testing.assert_close(opened[0](idx).logits, exported.model(idx), atol=1e-4, rtol=1e-5)


def test_the_ids_and_the_texts_are_equal(exported, opened):
    tokenizer = exported.model.need_tokenizer()
    for text in (TEXT, PROMPT, "door, door!", "\n", "t" * 40):
        ids = tokenizer.encode(text)
        assert opened[1](text)["input_ids"] == ids
        assert opened[1].decode(ids) == text == tokenizer.decode(ids)


def test_greedy_tokens_are_equal(exported, opened):
    (mine,) = exported.model.generate_many([PROMPT], 12, temperature=0, stop_tokens=exported.ends)
    ids = torch.tensor([mine.prompt_ids])
    theirs = opened[0].generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0
    )
    added = theirs[0, ids.size(1) :].tolist()
    assert [number for number in added if number not in exported.ends] == list(mine.ids)


def test_a_pipeline_continues_a_text_as_mypt_does(exported):
    pipeline = transformers.pipeline("text-generation", model=str(exported.folder), device="cpu")
    (theirs,) = pipeline(PROMPT, max_new_tokens=12, do_sample=False)
    mine = exported.model.generate(PROMPT, 12, temperature=0, stop_tokens=exported.ends)
    assert theirs["generated_text"] == mine


@pytest.mark.parametrize("kind", ["char", "gpt2", "bpe"])
def test_a_chat_template_is_applied_as_it_came(tmp_path, kind):
    make_model(kind, "llama_like", mypt.load_plugins()).save(tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "chat_template": TEMPLATE}), encoding="utf-8")
    export(tmp_path / "model", tmp_path / "hf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    for chat in CHATS:
        said = "".join(f"[{turn['role']}] {turn['content']}\n" for turn in chat)
        theirs = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        assert theirs == f"{said}[assistant] "
    assert mypt.load(tmp_path / "hf").tokenizer_state.chat_template == TEMPLATE
