"""A saved model that is trained further, or has nothing left to do."""

import json
import shutil

import pytest

import mypt
from mypt.plugins.manager import load_plugins
from tests.cli.commands.test_train import BRIEF, SMALL, documents


@pytest.fixture
def train(cli, in_tmp, text):
    (in_tmp / "input.txt").write_text(text)

    def call(*flags, name="cat"):
        return cli("train", "--model_name", name, *flags)

    return call


def test_what_is_given_to_a_finished_run_is_checked(train, refused, in_tmp):
    assert train("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")[0] == 0
    before = (in_tmp / "checkpoints" / "cat" / "manifest.json").read_bytes()
    for flag, value, named in (
        ("input_file", "nope.txt", "nope.txt"),
        ("dataset_dir", "nope", "nope"),
        ("eval_sets", '{"a": "nope.txt"}', "nope.txt"),
        ("tokenization", "foo", "foo"),
        ("learning_rate", "nan", "learning_rate"),
        ("gold_guards", '{"foo": {}}', "foo"),
        ("log_sinks", '{"console": {"x": 1}}', "log_sinks/console"),
        ("device", "cuda:99", "cuda:99"),
    ):
        assert named in refused("train", "--model_name", "cat", f"--{flag}", value)
    line = refused("train", "--model_name", "cat", "--config_file", "nope.json", code=2)
    assert "nope.json: there is no such preset" in line
    assert (in_tmp / "checkpoints" / "cat" / "manifest.json").read_bytes() == before


def test_a_model_of_the_standard_library_that_did_not_name_it_is_resumed(train, in_tmp):
    train(*SMALL, "--input_file", "stdlib", "--max_iters", "1", *BRIEF)
    file = in_tmp / "checkpoints" / "cat" / "training_state.json"
    state = json.loads(file.read_text())
    state["training_config"]["input_file"] = None
    file.write_text(json.dumps(state))
    code, out, err = train("--max_iters", "2")
    assert code == 0, err
    assert "standard library" in out
    assert documents(file.parent)["training_state"]["training_config"]["input_file"] == "stdlib"


def test_a_model_goes_on_with_no_text_that_it_never_saw(train, refused, text, in_tmp, fixtures):
    tokenizer = load_plugins().tokenizer("char").train(text)
    config = mypt.GPTConfig(
        n_layer=1, n_head=1, n_embd=8, block_size=8, vocab_size=tokenizer.vocab_size
    )
    model = mypt.GPT(config, tokenizer)
    model.fit(
        mypt.GPTDataLoader(config, tokenizer, text=text), max_iters=2, eval_iters=1, quiet=True,
        checkpoint_dir=in_tmp / "checkpoints" / "cat",
    )  # fmt: skip
    line = refused("train", "--model_name", "cat", "--max_iters", "4", code=2)
    assert "checkpoints/cat: was trained on the text; name the data to go on with" in line
    shutil.copytree(fixtures / "mypt" / "legacy_latest_char", in_tmp / "checkpoints" / "old")
    line = refused("train", "--model_name", "old", "--max_iters", "140", code=2)
    assert "checkpoints/old: does not say what it was trained on; name the data" in line
    assert train("--max_iters", "4", "--input_file", "input.txt")[0] == 0
