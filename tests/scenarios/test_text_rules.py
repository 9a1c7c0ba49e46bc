"""What `tokenizer.json` says of texts holds from the data that a model learns to what it writes."""

import json

import pytest

import mypt
from mypt.plugins.manager import load_plugins

SHAPE = (
    *("--block_size", "64", "--n_embd", "16", "--n_head", "2", "--n_layer", "1", "--device", "cpu"),
    *("--batch_size", "2", "--eval_interval", "2", "--eval_iters", "1", "--max_iters", "2"),
)


@pytest.fixture
def state_of(in_tmp):
    def call(name):
        return json.loads((in_tmp / "checkpoints" / name / "tokenizer.json").read_text())

    return call


@pytest.fixture
def run(cli):
    def call(*words):
        code, out, err = cli(*words)
        assert code == 0, err
        return out

    return call


def test_a_model_begins_its_texts_with_the_bos_that_its_document_adds(bundle, tmp_path):
    model = mypt.load(bundle)
    assert model.begin_ids == ()
    model.save(tmp_path / "cat")
    file = tmp_path / "cat" / "tokenizer.json"
    told = {"special_tokens": {"bos": [3, 1]}, "add_bos": True, "chat_template": "x"}
    file.write_text(json.dumps({**json.loads(file.read_text()), **told}))
    begun = mypt.load(tmp_path / "cat")
    ids = begun.need_tokenizer().encode("the cat")
    assert next(begun.generate_many(["the cat"], 1)).prompt_ids == (3, 1, *ids)
    assert next(begun.generate_many([ids], 1)).prompt_ids == tuple(ids)
    assert begun.score("the cat").ids == (3, 1, *ids)
    begun.save(tmp_path / "again")
    again = json.loads((tmp_path / "again" / "tokenizer.json").read_text())
    assert (again["special_tokens"]["bos"], again["add_bos"]) == ([3, 1], True)
    assert again["chat_template"] == "x"


def test_a_model_of_a_new_vocabulary_has_the_roles_that_its_tokenizer_names():
    class Words:
        token_kind, n_vocab, vocab_size = "words", 3, 3

        def encode(self, text):
            return [2]

        def state(self):
            return {"token_kind": "words", "special_tokens": {"bos": [0]}, "add_bos": True}

    shape = {"block_size": 4, "n_embd": 4, "n_head": 1, "n_layer": 1, "vocab_size": 3}
    model = mypt.GPT(mypt.GPTConfig(**shape))
    model.tokenizer = Words()
    assert model.begin_ids == (0,)


@pytest.fixture
def chats(in_tmp, text, run):
    talk = [
        {"messages": [{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": "N"}]}
        for n in range(8)
    ]
    (in_tmp / "chats.jsonl").write_text("\n".join(map(json.dumps, talk)))
    (in_tmp / "input.txt").write_text(text + "user assistant N\n")
    run(
        "train",
        "--model_name",
        "base",
        "--input_file",
        "input.txt",
        *SHAPE,
        "--tokenization",
        "char",
    )
    words = ("--output", "chats", "--from_model", "base", "--chat_template", "chatml")
    run("data", "chats", "chats.jsonl", *words)
    return json.loads((in_tmp / "chats" / "tokenizer_state.json").read_text())


@pytest.mark.parametrize("base", [(), ("--init_from_model", "base")])
def test_a_model_that_learns_chats_keeps_how_they_were_made(chats, run, state_of, base):
    assert "messages" in chats["chat_template"]
    assert state_of("base")["chat_template"] is None
    run("train", "--model_name", "tuned", "--dataset_dir", "chats", *base, *SHAPE)
    assert state_of("tuned")["chat_template"] == chats["chat_template"]
    run("rerun", "tuned")
    assert state_of("tuned_rerun") == state_of("tuned")


def test_shards_keep_the_roles_of_their_models_tokens(fixtures, in_tmp, run, state_of):
    source = fixtures / "neighbours" / "tok_llama_like"
    known = mypt.load(source).tokenizer_state
    (in_tmp / "a.txt").write_text("Hello world, the cat sat. " * 200)
    run("data", "prepare", "a.txt", "--output", "shards", "--from_model", source)
    run("train", "--model_name", "new", "--dataset_dir", "shards", *SHAPE)
    state = state_of("new")
    assert tuple(state["special_tokens"]["bos"]) == known.special_tokens.bos == (1,)
    assert state["add_bos"]
    assert mypt.load("new").begin_ids == (1,)


def test_special_tokens_of_mypt_have_roles_once_migrated(fixtures, in_tmp, run):
    run("format", "migrate", fixtures / "mypt" / "gpt2_special", "--output", "new")
    state = json.loads((in_tmp / "new" / "tokenizer.json").read_text())
    special, roles = state["special_token_encoder"], state["special_tokens"]
    assert roles["eos"] == [special["<myPT_eot>"], 50256]
    assert special["</myPT_assistant>"] in roles["turn_end"]
    tokenizer = load_plugins().tokenizer("gpt2").build(state)
    assert tokenizer.decode(roles["turn_end"]).startswith("</myPT_")
