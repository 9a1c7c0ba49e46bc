"""What the user is told of the data before a run begins."""

import json

import pytest

from tests.cli.commands.test_train import BRIEF, QUICK, SMALL, documents


@pytest.fixture
def train(cli, in_tmp, text):
    (in_tmp / "input.txt").write_text(text)

    def call(*flags, name="cat"):
        return cli("train", "--model_name", name, *flags)

    return call


def test_a_phase_that_comes_too_late_is_told_of(train, in_tmp):
    (in_tmp / "other.txt").write_text((in_tmp / "input.txt").read_text())
    phases = [
        {"name": "first", "until_iter": 9, "input_file": "input.txt"},
        {"name": "then", "input_file": "other.txt"},
    ]
    flags = ("--curriculum", json.dumps(phases), *SMALL, *BRIEF, "--max_iters")
    assert "That phase is never trained: it begins at 9, the run ends at 4" in train(*flags, "4")[1]
    assert "never trained" not in train(*flags, "12", name="dog")[1]


def test_tokens_that_can_never_be_drawn_are_not_counted(train, in_tmp, cli):
    data = ("data", "prepare", "input.txt", "--output", "shards", "--tokenization", "char")
    assert cli(*data, "--tokens_per_shard", "100")[0] == 0
    folder = in_tmp / "shards" / "train"
    (folder / "shard_00000.bin").write_bytes((folder / "shard_00000.bin").read_bytes()[:20])
    lengths = [path.stat().st_size // 2 for path in folder.iterdir()]
    there, drawn = sum(lengths), sum(length for length in lengths if length > 16)
    assert drawn < there
    code, out, err = train("--dataset_dir", "shards", *QUICK[:-4], "--max_iters", "1")
    assert code == 0, err
    assert f"Data: shards, {drawn:,} of {there:,} tokens to train on and" in out
    assert "shards train holds 2 shards of" in out
    state = documents(in_tmp / "checkpoints" / "cat")["training_state"]
    assert state["data"]["train_tokens"] == drawn
