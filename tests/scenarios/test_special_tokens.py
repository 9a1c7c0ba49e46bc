"""Special tokens of a model: made at its training or for fine-tuning, shown, used and passed on."""

import json

import pytest
import torch

import mypt
from mypt.chat.special_text import encode_ordinary
from mypt.data.dataset import STATE_FILE
from mypt.format.errors import ConfigError, DataError
from mypt.tokenizers.extension import NewTokens, extend_tokenizer
from tests.support.chats import chat

SPECIAL = {"turn_end": "<|end|>", "user": "<|user|>", "additional": ["<x>"]}
ALONE = dict.fromkeys(("block_size", "n_embd", "n_head", "n_layer", "dropout"))
FINE = {**ALONE, "tokenization": None, "max_iters": 2}


@pytest.fixture
def base(train, in_tmp):
    train("base", max_iters=2)
    return mypt.load(in_tmp / "checkpoints" / "base")


def document(in_tmp, name, file="tokenizer.json"):
    return json.loads((in_tmp / "checkpoints" / name / file).read_text())


def test_a_new_model_has_them_with_their_roles(train, in_tmp, cli, capsys):
    train("cat", max_iters=2, special_tokens=SPECIAL, quiet=False)
    said = capsys.readouterr().out
    tokenizer = document(in_tmp, "cat")
    n = len(tokenizer["chars"])
    assert tokenizer["special_token_encoder"] == {"<|end|>": n, "<|user|>": n + 1, "<x>": n + 2}
    assert tokenizer["special_tokens"]["turn_end"] == [n]
    assert tokenizer["special_tokens"]["user"] == n + 1
    assert document(in_tmp, "cat", "config.json")["vocab_size"] == n + 3
    told = f"The vocabulary gets 3 special tokens: <|end|> {n} (turn_end), <|user|> {n + 1} (user)"
    assert told in said
    saved = document(in_tmp, "cat", "training_state.json")["training_config"]
    assert saved["special_tokens"] == SPECIAL
    code, out, _ = cli("inspect", "checkpoints/cat")
    assert code == 0
    assert "<|end|>" in out
    assert cli("format", "validate", "checkpoints/cat")[0] == 0


def test_a_model_that_begins_with_another_ones_weights_gets_them(base, train, in_tmp):
    train(
        "child", init_from_model="base", special_tokens=SPECIAL, **{**FINE, "learning_rate": 1e-12}
    )
    child, n = mypt.load(in_tmp / "checkpoints" / "child"), base.config.vocab_size
    assert child.config.vocab_size == n + 3
    ours, theirs = child.state_dict(), base.state_dict()
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name][: len(tensor)], tensor)
    row = ours["token_embedding_table.weight"][n]
    assert torch.allclose(row, theirs["token_embedding_table.weight"].mean(0))
    assert child.need_tokenizer().encode("the<|end|>")[-1] == n


def test_a_run_of_a_saved_model_cannot_have_others(train, in_tmp):
    train("cat", max_iters=2, special_tokens=SPECIAL)
    train("cat", max_iters=3, special_tokens=SPECIAL)  # the same command again
    train("cat", max_iters=4)
    with pytest.raises(ConfigError, match="special_tokens: is for a new model, and this one has"):
        train("cat", max_iters=5, special_tokens={"eos": "<|stop|>"})


def test_a_run_that_is_done_again_has_them_too(base, in_tmp, cli):
    made = ("--model_name", "child", "--init_from_model", "base", "--input_file", "input.txt")
    given = ("--special_tokens", json.dumps(SPECIAL), "--max_iters", "2", "--eval_iters", "1")
    assert cli("train", *made, *given)[0] == 0
    code, _, err = cli("rerun", "child", "--model_name", "again")
    assert code == 0, err
    first, again = (in_tmp / "checkpoints" / name / "model.pt" for name in ("child", "again"))
    assert first.read_bytes() == again.read_bytes()
    assert document(in_tmp, "again") == document(in_tmp, "child")


def test_a_chat_template_brings_its_tokens(base, train, in_tmp):
    train("child", init_from_model="base", chat_template="chatml", **FINE)
    tokenizer, n = document(in_tmp, "child"), base.config.vocab_size
    assert tokenizer["chat_template"].startswith("{%")
    assert (
        tokenizer["special_token_encoder"]["<|im_end|>"] in tokenizer["special_tokens"]["turn_end"]
    )
    assert min(tokenizer["special_token_encoder"].values()) == n
    with pytest.raises(ConfigError, match="chat_template: is for a new model"):
        train("child", chat_template="plain", **{**FINE, "max_iters": 3})


@pytest.fixture
def dataset(base, in_tmp, cli):
    """A data set of the base with a special token more, and with a chat template."""
    folder = in_tmp / "data"
    made = ("data", "prepare", "input.txt", "--output", str(folder), "--from_model", "base")
    assert cli(*made)[0] == 0
    path = folder / STATE_FILE
    state = json.loads(path.read_text())
    n = len(state["chars"])
    added = {"special_token_encoder": {"<|end|>": n}, "special_tokens": {"turn_end": [n]}}
    path.write_text(json.dumps({**state, **added, "chat_template": "{{ messages }}"}))
    return folder


def test_a_model_takes_over_those_of_its_data(base, dataset, train, in_tmp):
    n = base.config.vocab_size
    train("child", init_from_model="base", dataset_dir=str(dataset), **FINE)
    train("fresh", dataset_dir=str(dataset), max_iters=2)
    for name in ("child", "fresh"):
        tokenizer = document(in_tmp, name)
        assert tokenizer["special_token_encoder"] == {"<|end|>": n}
        assert tokenizer["special_tokens"]["turn_end"] == [n]
        assert tokenizer["chat_template"] == "{{ messages }}"
        assert document(in_tmp, name, "config.json")["vocab_size"] == n + 1
    train("child", dataset_dir=str(dataset), **{**FINE, "max_iters": 3})


def test_a_saved_model_refuses_data_with_more(base, dataset, train):
    with pytest.raises(DataError, match=r"end.*: is a special token that the model lacks; begin a"):
        train("base", dataset_dir=str(dataset), max_iters=3)


def test_data_of_another_vocabulary_add_nothing(base, dataset, train):
    path = dataset / STATE_FILE
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "chars": state["chars"][::-1]}))
    with pytest.raises(
        DataError, match="is not that of the model with more special tokens: its ch"
    ):
        train("child", init_from_model="base", dataset_dir=str(dataset), **FINE)


def test_a_model_that_lacks_the_words_of_its_template_says_so(base, train, in_tmp, capsys):
    train("child", init_from_model="base", chat_template="chatml", **{**FINE, "quiet": False})
    told = capsys.readouterr().out
    assert "The model cannot be talked with: tokenizer.json#/chat_template: writes 'u' " in told


def test_conversations_of_another_template_are_refused(base, train, in_tmp, cli):
    lines = [chat(("user", "t"), ("assistant", word)) for word in ("a", "t", "e")]
    (in_tmp / "talk.jsonl").write_text("\n".join(map(json.dumps, lines)))
    made = ("data", "chats", "talk.jsonl", "--output", "talk", "--from_model", "base")
    code, _, err = cli(*made, "--chat_template", "mypt")
    assert code == 0, err
    data = {"init_from_model": "base", "dataset_dir": "talk", **FINE}
    with pytest.raises(DataError, match="was made with another chat template than the model gets"):
        train("child", chat_template="chatml", **data)
    train("child", chat_template="mypt", **data)


def test_a_prompt_is_text_unless_it_is_to_be_read(train, in_tmp, cli):
    train("cat", max_iters=2, special_tokens={"turn_end": "<|end|>"})
    ask = ("generate", "--model_name", "cat", "--max_new_tokens", "1", "--json", "--prompt")
    code, _, err = cli(*ask, "the <|end|>")
    assert code == 1  # the text that it was trained on has no such character
    assert "lacks the character '<'" in err
    code, out, _ = cli(*ask, "the <|end|>", "--read_special_tokens")
    assert code == 0
    n = len(document(in_tmp, "cat")["chars"])
    assert json.loads(out)["prompt"] == "the <|end|>"
    model = mypt.load(in_tmp / "checkpoints" / "cat")
    (read,) = model.generate_many(["the <|end|>"], 1, read_special_tokens=True)
    assert read.prompt_ids[-1] == n
    assert model.score("the <|end|>", read_special_tokens=True).ids[-1] == n


def test_an_export_to_hugging_face_has_them_and_stops_at_them(train, in_tmp, transformers):
    train("cat", max_iters=2, special_tokens={"turn_end": "<|end|>", "eos": "<|stop|>"})
    mypt.export_model("cat", to="hf", output=in_tmp / "exported")
    theirs = transformers.AutoTokenizer.from_pretrained(in_tmp / "exported")
    ours = mypt.load("cat").need_tokenizer()
    text = "the cat<|end|>sat<|stop|>"
    assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text)
    assert theirs.decode(ours.encode(text)) == text
    end, stop = (ours.encode(name)[0] for name in ("<|end|>", "<|stop|>"))
    assert theirs.eos_token_id == stop
    held = json.loads((in_tmp / "exported" / "generation_config.json").read_text())
    assert held["eos_token_id"] == [stop, end]


@pytest.mark.parametrize("kind", ["bpe", "gpt2"])
def test_a_vocabulary_of_another_kind_is_exported_with_them(kind, plugins, in_tmp, transformers):
    factory = plugins.tokenizer(kind)
    before = factory.trained_on(["the cat sat on the mat. " * 20], {"vocab_size": 260})
    ours = extend_tokenizer(before, NewTokens.of(SPECIAL), plugins)
    config = mypt.GPTConfig(
        n_layer=1, n_embd=8, n_head=2, block_size=8, vocab_size=ours.vocab_size, mlp_type="gelu"
    )
    mypt.GPT(config, ours).save(in_tmp / "small")
    mypt.export_model(in_tmp / "small", to="hf", output=in_tmp / "exported")
    theirs = transformers.AutoTokenizer.from_pretrained(in_tmp / "exported")
    text = "the cat<|end|> sat<|user|>"
    assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text)
    again = mypt.load(in_tmp / "exported").need_tokenizer()
    assert again.encode(text) == ours.encode(text)
    ordinary = encode_ordinary(ours, text).tolist()
    assert encode_ordinary(again, text).tolist() == ordinary == before.encode(text)
