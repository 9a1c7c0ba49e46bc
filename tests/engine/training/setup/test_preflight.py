"""What would fail after hours fails before the first step, and leaves nothing behind."""

import os
import shutil
from collections import namedtuple

import numpy as np
import pytest

import mypt
from mypt.data.metadata import STATE_FILE
from mypt.engine.training.setup import preflight
from mypt.engine.training.setup.preflight import check_before_training
from mypt.engine.training.trainer import Trainer
from mypt.format.bundle import read as bundle
from mypt.format.documents.training import TrainingState
from mypt.format.errors import DataError, SaveError
from mypt.format.schema import strict_json
from mypt.model.transformer import Transformer

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """Give the numbers of updates that were made."""
    made, update = [], Trainer.update

    def count(self):
        made.append(1)
        return update(self)

    monkeypatch.setattr(Trainer, "update", count)
    return made


@pytest.fixture
def free(monkeypatch):
    """Give what sets the free bytes of the disk."""

    def call(size):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, size))

    return call


@pytest.fixture
def refused(train, in_tmp, untrained):
    """Expect that a run is refused before its first step, without a trace; gives the message."""

    def call(error=SaveError, **fields):
        with pytest.raises(error) as caught:
            train(**fields)
        assert untrained == []
        assert not any(path.name.startswith(("cat", ".cat")) for path in in_tmp.rglob("*"))
        return str(caught.value)

    return call


def size_of(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_disk_without_room_is_refused(refused, free):
    free(1000)
    message = refused()
    assert message.startswith("checkpoints: has 1.0 KB free, but the run will need about")
    assert "--keep_snapshots" in message


def test_what_a_run_needs_is_what_it_takes(train, in_tmp, free, refused, untrained):
    """The estimate is held against what a run left, plus the bundle that is being replaced."""
    shape = {"n_embd": 64, "block_size": 64}
    train("other", snapshot_interval=2, keep_snapshots=2, **shape)
    models = in_tmp / "checkpoints"
    bundle = size_of(models / "other")
    taken = sum(size_of(folder) for folder in models.iterdir()) + 2 * bundle
    shutil.rmtree(models)
    shutil.rmtree(in_tmp / "logs")
    untrained.clear()
    free(int(taken * 0.9))
    refused(snapshot_interval=2, keep_snapshots=2, **shape)
    free(int(taken * 1.1))
    train("again", snapshot_interval=2, keep_snapshots=2, **shape)


def test_all_numbered_copies_that_will_be_kept_count(refused, free, train):
    free(1_000_000)
    refused(snapshot_interval=1, max_iters=100)
    refused(snapshot_interval=1, max_iters=100, keep_snapshots=50)
    train(snapshot_interval=1, max_iters=2)
    train("few", snapshot_interval=50, max_iters=1, keep_snapshots=2)


def test_what_is_there_already_is_not_counted_again(train, free, in_tmp):
    train(max_iters=2)
    free(size_of(in_tmp / "checkpoints" / "cat") + 1000)
    train(max_iters=3)


def test_a_resume_that_is_refused_leaves_bundle_and_log_as_they_were(train, free, in_tmp):
    train(max_iters=2)
    places = [path for path in in_tmp.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in places}
    free(1000)
    with pytest.raises(SaveError, match="free"):
        train(max_iters=4)
    assert {path: path.read_bytes() for path in in_tmp.rglob("*") if path.is_file()} == before


def test_a_folder_that_cannot_be_written_is_refused(train, in_tmp, monkeypatch, untrained):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (in_tmp / "checkpoints").mkdir(mode=0o500)
    with pytest.raises(SaveError, match="checkpoints"):
        train()
    assert untrained == []


def test_a_name_that_is_a_files_is_refused(train, in_tmp, untrained):
    (in_tmp / "checkpoints").write_text("a file where the folder should be")
    with pytest.raises(SaveError, match="checkpoints"):
        train()
    assert untrained == []


@pytest.mark.parametrize("is_large", [False, True])
def test_a_disk_that_does_not_keep_what_is_written_is_refused(refused, monkeypatch, is_large):
    """Reading a small file compares its digest; a large one is compared tensor by tensor."""
    read = preflight.read_bundle
    if is_large:
        monkeypatch.setattr(bundle, "MAX_CHECKED_BYTES", 0)

    def read_later(folder, layouts):
        weights = read(folder, layouts).weights()["lm_head.weight"].numpy().tobytes()
        data = (folder / "model.pt").read_bytes()
        assert weights in data
        (folder / "model.pt").write_bytes(data.replace(weights, bytes(len(weights))))
        return read(folder, layouts)

    monkeypatch.setattr(preflight, "read_bundle", read_later)
    assert "is not what was written; check the disk" in refused()


@pytest.fixture
def shards(in_tmp, plugins, text):
    tokenizer = plugins.tokenizer("char").train(text)

    def call(ids):
        for split in ("train", "val"):
            (in_tmp / "prepared" / split).mkdir(parents=True)
            np.array(ids, "<u4").tofile(in_tmp / "prepared" / split / "shard_00000.bin")
        (in_tmp / "prepared" / STATE_FILE).write_bytes(strict_json.dump(tokenizer.state()))
        return tokenizer

    return call


def test_ids_beyond_the_vocabulary_are_refused(refused, shards):
    shards([5, 10_000] * 100)
    assert "10000" in refused(DataError, dataset_dir="prepared", tokenization=None)


def test_a_later_phase_is_checked_too(refused, in_tmp, shards):
    shards([5, 10_000] * 100)
    phases = [
        {"name": "first", "until_iter": 5, "input_file": "input.txt"},
        {"name": "later", "dataset_dir": "prepared"},
    ]
    assert "10000" in refused(DataError, curriculum=phases)
    (in_tmp / "short.txt").write_text("short")
    phases[1] = {"name": "later", "input_file": "short.txt"}
    assert "short.txt" in refused(DataError, curriculum=phases)


def test_a_run_that_saves_nothing_needs_no_room(free, plugins, text):
    free(0)
    tokenizer = plugins.tokenizer("char").train(text)
    config = mypt.GPTConfig(
        block_size=8, n_embd=16, n_head=2, n_layer=1, vocab_size=tokenizer.vocab_size
    )
    model = mypt.GPT(config, tokenizer)
    loader = mypt.GPTDataLoader(config, tokenizer, text=text)
    check_before_training(model, [loader], TrainingState(step=0), 0, None)


def test_what_a_killed_preflight_left_is_cleaned_by_the_next(train, in_tmp):
    left = in_tmp / "checkpoints" / ".cat.mypt-preflight"
    left.mkdir(parents=True)
    (left / "model.pt").write_bytes(b"half")
    train(max_iters=1)
    assert not left.exists()


def test_it_runs_no_forward_pass(train, monkeypatch):
    """Checked in seconds, also for a model whose first step takes minutes."""
    began = []
    monkeypatch.setattr(Transformer, "loss", lambda *_, **__: began.append(1) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train()
    assert began == [1]


def test_weights_that_are_nan_are_no_fault_of_the_disk(in_tmp, plugins, text):
    tokenizer = plugins.tokenizer("char").train(text)
    config = mypt.GPTConfig(
        n_layer=1, n_head=1, n_embd=8, block_size=8, batch_size=2, vocab_size=tokenizer.vocab_size
    )
    model = mypt.GPT(config, tokenizer, plugins=plugins)
    model.lm_head.weight.data[0] = float("nan")
    loader = mypt.GPTDataLoader(config, tokenizer, text=text)
    folder = in_tmp / "m"
    stop = {"eval_interval": 1, "eval_iters": 1, "quiet": True}
    with pytest.raises(mypt.DivergedError):  # and not what a disk that loses bits would be told
        model.fit(loader, max_iters=1, checkpoint_dir=folder, **stop)
