"""What a model is taught by conversations it says, and then it stops."""

import json

import pytest

import mypt
from tests.support.chats import chat, prepare

SHAPE = {"n_layer": 1, "n_embd": 32, "n_head": 2, "block_size": 48, "dropout": 0.0}
RUN = {"max_iters": 150, "learning_rate": 0.02, "eval_iters": 1, "eval_interval": 150}
RUN |= {"sampling": "epoch", "packing": True, "batch_size": 8, "warmup_iters": 0.05}
WORDS = {"sun": "day", "moon": "night", "fire": "hot", "ice": "cold and hard", "sea": "wet"}
VALIDATED = {"text": "sun is 3"}  # it has the lowest digest, so it alone is not trained on


@pytest.fixture
def tuned(train, in_tmp, plugins):
    """Give a model that is tuned on lines, from the weights of one that knows no conversation."""

    def call(lines):
        text = "".join(f"{word} is {said}.\n" for word, said in WORDS.items()) * 20
        (in_tmp / "words.txt").write_text(f"{text}User: Assistant: 3\n")
        train("base", max_iters=5, input_file="words.txt", **SHAPE)
        tokenizer = mypt.load(in_tmp / "checkpoints" / "base").need_tokenizer()
        folder = prepare(in_tmp / "chats", plugins, lines, tokenizer=tokenizer)
        alone = dict.fromkeys((*SHAPE, "tokenization"))
        train("tuned", init_from_model="base", dataset_dir=str(folder), **{**alone, **RUN})
        return mypt.load(in_tmp / "checkpoints" / "tuned")

    return call


def test_a_completion_is_said_to_its_end_and_no_further(tuned, cli, in_tmp):
    lines = [{"prompt": f"{word} is", "completion": f" {said}"} for word, said in WORDS.items()]
    tuned([*lines, VALIDATED])
    for word, said in WORDS.items():
        asked = ("--prompt", f"{word} is", "--temperature", "0", "--max_new_tokens", "30")
        code, out, err = cli("generate", "tuned", *asked, "--json")
        assert code == 0, err
        found = json.loads(out)
        assert (found["text"], found["stopped_by"]) == (f" {said}", "<|endoftext|>")


def test_an_answer_is_said_to_its_end_and_no_further(tuned):
    lines = [chat(("user", word), ("assistant", said)) for word, said in WORDS.items()]
    model = tuned([*lines, VALIDATED])
    answers = {word: model.chat(temperature=0, max_new_tokens=30).ask(word) for word in WORDS}
    assert answers == WORDS
