"""No target is no loss: what a row cannot show is counted, named and left out, at every door."""

import json
import shutil

import numpy as np
import pytest

import mypt
from mypt.data.prepare.chats.vocabulary import make_renderer
from mypt.format.errors import DataError
from tests.support.chats import chat, prepare

SHAPE = {"block_size": 16, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 4}
RUN = {"eval_interval": 4, "eval_iters": 2, "learning_rate": 1e-2, "quiet": True}


def talk(number, *, long_end=False):
    """A conversation; the end of a long one shows a row nothing that the assistant said."""
    turns = [("user", f"{number}?"), ("assistant", f"{number}!")]
    return chat(*turns, *([("user", "and " * 30)] if long_end else []))


@pytest.fixture
def tokenizer(plugins):
    """One that has all tokens that the data sets need."""
    plain = plugins.tokenizer("char").train("UserAssistant: ?!\nand0123456789")
    return make_renderer(plain, None, plugins).template.tokenizer


@pytest.fixture
def mixed(tmp_path, plugins, tokenizer):
    """Thirty conversations, of which ten show a row of 16 tokens no target."""
    lines = [talk(n, long_end=n % 3 == 0) for n in range(30)]
    return prepare(tmp_path / "mixed", plugins, lines, tokenizer=tokenizer, val_fraction=0.4)


@pytest.fixture
def ends(tmp_path, plugins, tokenizer):
    """Conversations of which none shows such a row a target."""
    lines = [talk(n, long_end=True) for n in range(30)]
    return prepare(tmp_path / "ends", plugins, lines, tokenizer=tokenizer)


def new_model(tokenizer):
    return mypt.GPT(mypt.GPTConfig(**SHAPE, vocab_size=tokenizer.vocab_size), tokenizer)


def events_of(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("sampling", ["random", "epoch"])
def test_a_run_names_what_it_leaves_out_and_every_row_teaches(mixed, tokenizer, tmp_path, sampling):
    model = new_model(tokenizer)
    loader = mypt.GPTDataLoader(model.config, tokenizer, dataset_dir=mixed, sampling=sampling)
    n_learnt = sum(source.windows(16) for source in loader.splits.values())
    assert n_learnt == 20
    for step in range(20):
        assert (loader.train_batch(1, step, 0).mask.sum(1) > 0).all()
        assert (loader.eval_batch("val", 1, step).mask.sum(1) > 0).all()
    log = tmp_path / "log.jsonl"
    model.fit(loader, checkpoint_dir=tmp_path / "m", log_file=str(log), max_iters=8, **RUN)
    told = events_of(log)
    notices = [one["message"] for one in told if one["event"] == "notice"]
    assert notices == [line.replace(str(mixed), mixed.name) for line in loader.left_out]
    notices = [line for line in notices if "target" in line]
    total = {name: source.episodes for name, source in loader.splits.items()}
    left = {name: total[name] - loader.splits[name].windows(16) for name in total}
    assert notices == [
        f"{mixed.name} {name} holds {left[name]} episodes of {total[name]} without a target "
        "in the last 16 tokens (block_size), which are left out"
        for name in ("train", "val")
    ]
    losses = [one["val_loss"] for one in told if one["event"] == "eval"]
    assert all(loss > 0.1 for loss in losses)
    assert [one["iter"] for one in told if one["event"] == "gold_checkpoint"]


def test_what_is_left_out_changes_neither_fingerprint_nor_resume(mixed, train, stop_at, digests):
    shape = {**SHAPE, "device": "cpu", "dataset_dir": str(mixed), "sampling": "epoch"}
    train("whole", max_iters=12, **shape)
    stop_at(6)
    train(max_iters=12, **shape)
    stop_at(None)
    state = train(max_iters=12, **shape)
    assert state.exact
    assert digests() == digests("whole")
    metadata = json.loads((mixed / "dataset_metadata.json").read_text())
    assert state.data.sha256 == metadata["data_sha256"]
    assert 0 < state.data.train_tokens < metadata["train_tokens"]  # what a row holds is counted


def test_a_split_without_any_target_is_refused_at_every_door(mixed, ends, tokenizer, train):
    model = new_model(tokenizer)
    for options in ({}, {"eval_only": True}):
        with pytest.raises(DataError, match=r"val: holds \d+ episodes? of \d+ without") as caught:
            mypt.GPTDataLoader(model.config, tokenizer, dataset_dir=ends, **options)
        assert "use a block_size of at least 1" in str(caught.value)
    shape = {**SHAPE, "device": "cpu", "max_iters": 2}
    later = [
        {"name": "a", "until_iter": 1, "dataset_dir": str(mixed)},
        {"name": "b", "dataset_dir": str(ends)},
    ]
    for data in (
        {"dataset_dir": str(ends)},
        {"dataset_dir": str(mixed), "eval_sets": {"ends": str(ends)}},
        {"dataset_dir": str(mixed), "eval_dataset_dir": str(ends)},
        {"curriculum": later},
    ):
        with pytest.raises(DataError, match=rf"{ends.name} .*without a target in the last 16"):
            train(**shape, **data)


def test_a_validation_split_without_targets_is_refused_alone(mixed, ends, tokenizer):
    shutil.rmtree(mixed / "val")
    shutil.copytree(ends / "val", mixed / "val")
    with pytest.raises(DataError) as caught:
        mypt.GPTDataLoader(new_model(tokenizer).config, tokenizer, dataset_dir=mixed)
    assert [problem.where for problem in caught.value.problems] == ["val"]


def test_a_larger_block_size_leaves_nothing_out(mixed, tokenizer):
    config = mypt.GPTConfig(**{**SHAPE, "block_size": 256}, vocab_size=tokenizer.vocab_size)
    loader = mypt.GPTDataLoader(config, tokenizer, dataset_dir=mixed)
    assert loader.left_out == []
    assert sum(source.windows(256) for source in loader.splits.values()) == 30


def test_conversations_are_compared_on_whether_or_not_a_row_shows_a_target(ends, plugins):
    from mypt.comparison.results import text_of_data_set

    assert "Assistant: " in text_of_data_set(str(ends), plugins).text


def test_inspecting_counts_them_for_a_model(cli, in_tmp, bundle):
    shutil.copytree(bundle, in_tmp / "checkpoints" / "cat")
    lines = [{"prompt": "the cat sat on the mat", "completion": f" {n} times."} for n in range(18)]
    turns = ("user", "cat"), ("assistant", "mat"), ("user", "the cat " * 12)
    lines += [chat(*turns), chat(*turns, ("user", "cat"))]
    (in_tmp / "chats.jsonl").write_text("\n".join(map(json.dumps, lines)))
    prepare = ("data", "chats", "chats.jsonl", "--output", "sft", "--tokenization", "gpt2")
    told = cli(*prepare, "--block_size", "100")
    assert told[0] == 0, told[2]
    assert "without a target" not in told[2]
    shown = cli("data", "inspect", "sft", "--from_model", "cat")
    assert shown[0] == 0
    counted = [line for line in shown[1].splitlines() if "without a target" in line]
    assert counted
    assert all(line.startswith("warning: sft/") for line in counted)
    assert sum(int(line.split("holds ")[1].split()[0]) for line in counted) == 2


def test_masks_without_a_target_in_data_sets_of_the_earlier_program(mixed, tokenizer):
    for split in ("train", "val"):
        file = mixed / split / "mask.bin"
        np.zeros(file.stat().st_size, "u1").tofile(file)
    with pytest.raises(DataError, match=r"train: holds .*; use conversations that leave something"):
        mypt.GPTDataLoader(new_model(tokenizer).config, tokenizer, dataset_dir=mixed)
