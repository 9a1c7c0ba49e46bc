"""A file system without locks: refused with the way out, and with it everything works."""

import errno
import json
import os
from pathlib import Path

import pytest

import mypt
from mypt.data.prepare.tokens import Preparation, prepare
from mypt.format.errors import SaveError
from mypt.format.storage.lock import LOCK_FILE
from tests.support.bundles import save_random_bundle

fcntl = pytest.importorskip("fcntl")

TINY = ("--n_embd", "8", "--n_head", "1", "--n_layer", "1", "--block_size", "8")
TINY += ("--batch_size", "2", "--eval_iters", "1", "--eval_interval", "6", "--device", "cpu")
NEW = ("--input_file", "input.txt", "--tokenization", "char", *TINY)


@pytest.fixture(params=["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"])
def reason(request):
    return getattr(errno, request.param)


@pytest.fixture
def place(in_tmp, text, monkeypatch, request):
    """A folder on a file system without locks, with a text in it."""
    named = "reason" in request.fixturenames
    number = request.getfixturevalue("reason") if named else errno.ENOLCK

    def flock(*_):
        raise OSError(number, os.strerror(number))

    (in_tmp / "input.txt").write_text(text)
    monkeypatch.setattr(fcntl, "flock", flock)
    return in_tmp


def no_lock_files(place):
    return [*place.rglob(LOCK_FILE), *place.rglob("*.lock")] == []


@pytest.fixture
def warned(caplog):
    """Give what runs something that warns once; gives the warning."""

    def call(work):
        caplog.clear()
        work()
        (record,) = caplog.records
        return record.getMessage()

    return call


def test_training_is_refused_with_the_flag_and_what_it_risks(place, refused, reason):
    line = refused("train", "--model_name", "cat", *NEW, "--max_iters", "6")
    assert "checkpoints/cat: is on a file system without locks" in line
    assert os.strerror(reason) in line
    assert "nothing keeps two runs from writing there at once" in line
    assert "--no_lock" in line
    assert {path.name for path in place.rglob("*")} <= {"input.txt", "checkpoints"}


def test_with_the_flag_it_trains_keeps_all_copies_and_resumes(place, cli):
    keep = ("--snapshot_interval", "6", "--keep_snapshots", "1", "--no_lock")
    code, out, err = cli("train", "--model_name", "cat", *NEW, "--max_iters", "6", *keep)
    assert code == 0, err
    shown = " ".join((out + err).split())
    assert shown.count("checkpoints/cat: written without a lock") == 1
    assert shown.count("logs/train/cat_eval.jsonl: written without a lock") == 1
    assert shown.count("without a lock") == 2
    assert "nothing else may write there" in shown
    code, out, err = cli("train", "--model_name", "cat", "--max_iters", "12", *keep)
    assert code == 0, err
    there = {path.name for path in Path("checkpoints").iterdir()}
    assert there >= {"cat", "cat_fp16", "cat_step00000012"}
    assert "cat_step00000006" not in there  # it was removed for the next
    assert cli("format", "validate", "--checksums", "checkpoints/cat")[0] == 0
    assert no_lock_files(place)


def test_the_command_to_resume_has_the_flag(place, cli, monkeypatch):
    flags = (*NEW, "--max_iters", "6", "--no_lock")
    assert cli("train", "--model_name", "cat", *flags)[0] == 0
    assert "--no_lock --max_iters 12" in cli("train", "--model_name", "cat", *flags)[1]


def test_the_flag_keeps_the_lock_where_there_are_locks(in_tmp, text, cli, refused):
    from mypt.format.storage.commit import open_for_writing

    (in_tmp / "input.txt").write_text(text)
    flags = ("train", "--model_name", "cat", *NEW, "--max_iters", "6", "--no_lock")
    with open_for_writing(in_tmp / "checkpoints" / "cat"):
        assert "is being written by process" in refused(*flags)
    code, out, err = cli(*flags)
    assert code == 0
    assert "without a lock" not in out + err


def test_the_writer_before_that_did_not_end_is_named(place, cli):
    folder = place / "checkpoints" / "cat"
    folder.mkdir(parents=True)
    note = {"host": "elsewhere", "pid": 7, "since": "2026-01-01T00:00:00+00:00"}
    (folder / LOCK_FILE).write_text(json.dumps(note))
    code, out, err = cli("train", "--model_name", "cat", *NEW, "--max_iters", "6", "--no_lock")
    assert code == 0, err
    shown = " ".join((out + err).split())
    assert "process 7 on elsewhere, since 2026-01-01T00:00:00+00:00, did not say" in shown


def test_a_note_of_another_writer_stays_where_a_run_is_refused(place, refused):
    folder = place / "checkpoints" / "cat"
    folder.mkdir(parents=True)
    (folder / LOCK_FILE).write_text("somebody\n")
    refused("train", "--model_name", "cat", *NEW, "--max_iters", "6")
    assert (folder / LOCK_FILE).read_text() == "somebody\n"


def test_python_saves_and_trains_with_the_argument_alone(place, text, warned, plugins):
    tokenizer = plugins.tokenizer("char").train(text)
    sizes = {"block_size": 8, "n_embd": 8, "n_head": 1, "n_layer": 1, "batch_size": 2}
    config = mypt.GPTConfig(**sizes, vocab_size=tokenizer.vocab_size)
    model = mypt.GPT(config, tokenizer)
    with pytest.raises(SaveError, match="no_lock=True"):
        model.save("plain")
    assert "plain: written without a lock" in warned(lambda: model.save("plain", no_lock=True))
    loader = mypt.GPTDataLoader(config, tokenizer, text=text)
    brief = {"max_iters": 2, "eval_interval": 2, "eval_iters": 1, "quiet": True}
    with pytest.raises(SaveError, match="no_lock=True"):
        model.fit(loader, checkpoint_dir="trained", **brief)
    model.fit(loader, checkpoint_dir="trained", no_lock=True, **brief)
    assert mypt.load("trained").config == config
    assert no_lock_files(place)


def test_a_checkpoint_is_migrated(place, cli, refused, fixtures):
    source = next(fixtures.rglob("latest.pt"))
    command = ("format", "migrate", source, "--output", "new")
    assert "--no_lock" in refused(*command)
    assert not Path("new").exists()
    code, out, err = cli(*command, "--no_lock")
    assert code == 0, err
    assert "warning: new: written without a lock" in out
    assert cli("format", "validate", "new")[0] == 0


def test_a_data_set_is_prepared(place, cli, refused, warned, plugins):
    command = ("data", "prepare", "input.txt", "--output", "shards", "--tokenization", "char")
    assert "shards: is on a file system without locks" in refused(*command)
    assert not Path("shards").exists()
    wanted = Preparation(
        inputs=("input.txt",), output=Path("shards"), tokenization="char", no_lock=True
    )
    assert "shards: written without a lock" in warned(lambda: prepare(wanted, plugins))
    assert cli("data", "inspect", "shards", "--checksums")[0] == 0
    code, out, _ = cli(*command, "--no_lock")
    assert code == 0
    assert "already complete" in out


def test_an_interrupted_commit_is_finished(place, cli, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lambda *_: None)
        save_random_bundle(
            place / "cat", mypt.GPTConfig(vocab_size=5, n_embd=8, n_layer=1, n_head=1)
        )
    left = place / "cat" / "config.json.mypt-000001"
    (place / "cat" / "config.json").rename(left)
    assert cli("format", "migrate", "cat")[0] == 0
    assert left.exists()
    assert cli("format", "migrate", "cat", "--no_lock")[0] == 0
    assert not left.exists()
