"""A new model, with first weights of its own or with those of another one."""

import pytest

from tests.cli.commands.test_train import BRIEF, QUICK, SMALL, documents


@pytest.fixture
def train(cli, in_tmp, text):
    (in_tmp / "input.txt").write_text(text)

    def call(*flags, name="cat"):
        return cli("train", "--model_name", name, *flags)

    return call


def test_a_tokenizer_that_a_data_set_overrules_is_said(train, cli):
    words = ("--output", "ds", "--tokenization", "char", "--tokens_per_shard", "2000")
    assert cli("data", "prepare", "input.txt", *words)[0] == 0
    small = SMALL[:-2]
    flags = ("--dataset_dir", "ds", *small, *BRIEF, "--max_iters", "1", "--tokenization")
    assert (
        "--tokenization gpt2 is ignored: the data set was made with char"
        in train(*flags, "gpt2")[1]
    )
    assert "ignored" not in train(*flags, "char", name="dog")[1]


def test_fine_tuning_says_where_it_begins_and_what_it_ignores(train, in_tmp):
    assert train("--input_file", "input.txt", *QUICK)[0] == 0
    code, out, err = train(
        *("--init_from_model", "cat", "--input_file", "input.txt", *BRIEF, "--max_iters", "2"),
        *("--n_layer", "5", "--dropout", "0"),
        name="kitten",
    )
    assert code == 0, err
    assert "n_layer 5 is ignored: cat has 2" in out
    assert "Beginning with the weights of checkpoints/cat, at its step 4" in out
    (ancestor,) = documents(in_tmp / "checkpoints" / "kitten")["training_state"]["lineage"]
    assert (ancestor["model"], ancestor["step"]) == ("cat", 4)
