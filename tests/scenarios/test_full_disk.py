"""A disk that takes no more: one line that names the path, and nothing half-written."""

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import mypt
from tests.support.bundles import save_random_bundle
from tests.support.events import read_lines

resource = pytest.importorskip("resource")

LIMIT = 100_000  # bytes of a file; those of the tiny models below are smaller
TINY = ("--n_embd", "8", "--n_head", "1", "--n_layer", "1", "--block_size", "8")
TINY += ("--batch_size", "2", "--eval_iters", "1", "--eval_interval", "6", "--device", "cpu")
NEW = ("--input_file", "input.txt", "--tokenization", "char", *TINY)


@contextmanager
def disk_of(limit):
    """Let the system refuse each byte of a file beyond a limit, as a full disk does.

    Python 3.11 would keep half the bytecode of a module that is first imported then.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writes = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = writes


@pytest.fixture
def place(in_tmp, text):
    (in_tmp / "input.txt").write_text(text * 20)
    return in_tmp


@pytest.fixture
def full(refused):
    """Run a command on a full disk; gives the path that its one line names."""

    def call(*arguments):
        with disk_of(LIMIT):
            line = refused(*arguments)
        path, _, rest = line.removeprefix("error: ").partition(": could not be written: File too ")
        assert rest.startswith("large; ")
        return path

    return call


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_export(place, full):
    config = mypt.GPTConfig(
        vocab_size=26,
        n_embd=64,
        n_layer=4,
        n_head=2,
        block_size=8,
        head_bias=False,
    )
    save_random_bundle(place / "cat", config)
    before = tree(place)
    assert full("export", "--to", "hf", "--model_name", "cat", "--output", "hf") == "hf"
    assert tree(place) == before


def test_a_first_shard_leaves_nothing(place, full):
    command = ("data", "prepare", "input.txt", "--output", "shards", "--workers", "1")
    assert full(*command, "--tokenization", "char") == "shards/train/shard_00000.bin"
    assert tree(place) == ["input.txt"]


def test_the_standard_input_leaves_nothing(place, full, monkeypatch):
    with Path("input.txt").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert full("data", "prepare", "-", "--output", "shards") == "shards"
    assert tree(place) == ["input.txt"]


@pytest.mark.parametrize("workers", [1, 2])
def test_whole_shards_stay_and_are_gone_on_after(place, cli, workers, monkeypatch, refused):
    from mypt.data.prepare import shard_writer

    flags = ("--tokenization", "char", "--tokens_per_shard", "20000", "--workers", workers)
    command = ("data", "prepare", "input.txt", *flags, "--output")
    assert cli(*command, "whole")[0] == 0
    opened = []

    def sync_file(descriptor):
        opened.append(descriptor)
        if len(opened) > 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer, "flush_to_disk", sync_file)
        line = refused(*command, "shards")
    assert "shards/train/shard_00003.bin: could not be written: No space left on device" in line
    names = [f"train/shard_0000{number}.bin" for number in range(3)]
    assert tree(place / "shards") == [".progress.json", "tokenizer_state.json", "train", *names]
    assert cli(*command, "shards")[0] == 0
    for name in tree(place / "whole"):
        if name.endswith(".bin"):
            assert (place / "shards" / name).read_bytes() == (place / "whole" / name).read_bytes()


def test_conversations_leave_nothing(place, full):
    lines = ({"prompt": f"what is {n}?", "completion": f"it is {n * n}"} for n in range(3000))
    Path("chats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert full("data", "chats", "chats.jsonl", "--output", "chats") == "chats"
    assert tree(place) == ["chats.jsonl", "input.txt"]


def test_a_migration_to_either_version_leaves_nothing(place, full, fixtures):
    config = mypt.GPTConfig(vocab_size=26, n_embd=64, n_layer=4, n_head=2, block_size=8)
    save_random_bundle(place / "cat", config)
    before = tree(place)
    assert full("format", "migrate", "cat", "--to", "1", "--output", "old") == "old"
    assert tree(place) == before
    source = max(fixtures.rglob("latest.pt"), key=lambda path: path.stat().st_size)
    assert source.stat().st_size > LIMIT
    assert full("format", "migrate", source, "--output", "new") == "new"
    assert tree(place) == before


@pytest.mark.parametrize("name", ["plot.html", "plot.png", "plot.svg"])
def test_a_plot_leaves_the_file_before(place, full, cli, monkeypatch, name):
    if not name.endswith("html"):
        pytest.importorskip("matplotlib")
    assert cli("train", "--model_name", "cat", *NEW, "--max_iters", "6")[0] == 0
    Path(name).write_text("before")
    monkeypatch.setattr(f"{__name__}.LIMIT", 2000)
    before = tree(place)
    assert full("plot", "cat", "--output", name) == name
    assert Path(name).read_text() == "before"
    assert tree(place) == before


def test_a_log_is_one_line_and_no_second_one_where_it_cannot_be_closed(place, cli):
    command = ("train", "--model_name", "cat", *NEW, "--max_iters")
    assert cli(*command, "6")[0] == 0
    log = Path("logs/train/cat_eval.jsonl")
    lines = log.read_text()
    log.write_text(lines * (1 + LIMIT // len(lines)))
    before = len(read_lines(log))
    with disk_of(LIMIT):
        code, out, err = cli(*command, "12")
    assert code == 1
    assert err.count("\n") == 1
    assert err.startswith(f"error: {log}: could not be written: File too large; ")
    assert "did not close" not in out
    assert len(read_lines(log)) == before
    assert cli(*command, "12")[0] == 0


def test_a_plugin_package_leaves_nothing(place, refused):
    with disk_of(1000):
        line = refused("plugins", "new", "mypt-mine", "--output", "mine")
    assert ": could not be written: File too large; " in line
    assert tree(place) == ["input.txt"]
