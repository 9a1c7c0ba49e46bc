"""What all tests share: a quiet machine, the fixtures folder, small texts."""

import os

# Two test processes on two cores: torch with one thread each, also in processes they start.
os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import pytest
from hypothesis import settings

# The examples of every run are the same: a new one is for `make crash` to find, not for a change
# that has nothing to do with it.
sweeping = os.environ.get("MYPT_CORRUPTION") == "all"
settings.register_profile("mypt", deadline=None, derandomize=not sweeping)
settings.load_profile("mypt")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def fixtures():
    """Checkpoints written by the earlier programs."""
    folder = SHARED / "fixtures"
    if not folder.is_dir():
        pytest.skip("the checkpoints of the earlier programs are not beside this checkout")
    return folder


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """Work in an empty folder, where `checkpoints/` and `logs/` land."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def text():
    """Some kilobytes of text with structure that a tiny model learns quickly."""
    lines = (f"line {i}: the cat sat on the mat, {i * i} times.\n" for i in range(400))
    return "".join(lines)


TINY = {"block_size": 16, "n_embd": 32, "n_head": 2, "n_layer": 2, "batch_size": 4}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, text):
    """A small trained character model, as `mypt train` leaves it. Read it, never write to it."""
    import mypt
    from mypt.plugins.manager import load_plugins

    folder = tmp_path_factory.mktemp("bundle") / "cat"
    tokenizer = load_plugins().tokenizer("char").train(text)
    config = mypt.GPTConfig(**TINY, vocab_size=tokenizer.vocab_size)
    loader = mypt.GPTDataLoader(config, tokenizer, text=text)
    mypt.GPT(config, tokenizer).fit(
        loader,
        max_iters=60,
        eval_interval=30,
        eval_iters=2,
        learning_rate=3e-3,
        checkpoint_dir=folder,
        log_file=str(folder.parent / "log.jsonl"),
        quiet=True,
    )
    return folder
