"""What all tests share: a quiet machine, small texts, real runs and the command line."""

import json
import os
import signal
import warnings
from fnmatch import fnmatchcase

# What a process of a test imports, the next one need not compile.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Two test processes on two cores: torch with one thread each, also in processes they start.
os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.paths import FIXTURES, ROOT

# The examples of every run are the same: a new one is for `make crash` to find, not for a change
# that has nothing to do with it.
sweeping = os.environ.get("MYPT_CORRUPTION") == "all"
settings.register_profile("mypt", deadline=None, derandomize=not sweeping)
settings.load_profile("mypt")


SWEEPS = Path(__file__).with_name("sweeps.txt")


def pytest_collection_modifyitems(items):
    """Mark as slow what only `make sweep` runs."""
    lines = SWEEPS.read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    for item in items:
        name = item.nodeid.removeprefix("tests/").partition("@")[0]
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def unsynced(request, monkeypatch):
    """Do not wait for the disk, which takes a third of the time: nobody cuts the power here.

    The tests of crashes and of syncing have the real one.
    """
    if "crash" not in request.path.parts and request.path.name != "test_operating_system.py":
        monkeypatch.setattr(os, "fsync", os.fstat)  # which fails as it does


@pytest.fixture(scope="session")
def transformers():
    """The package of Hugging Face, whose import warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def fixtures():
    """Checkpoints written by the earlier programs."""
    if not FIXTURES.is_dir():
        pytest.skip("the checkpoints of the earlier programs are not beside this checkout")
    return FIXTURES


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


@pytest.fixture(scope="session")
def talker(tmp_path_factory):
    """The folder of a model that was taught conversations; see `tests.support.talking`."""
    from tests.support.talking import make_taught

    folder = tmp_path_factory.mktemp("talker") / "talker"
    make_taught().save(folder)
    return folder


SHORT = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "batch_size": 2}
SHORT |= {"dropout": 0.2, "device": "cpu", "learning_rate": 0.01}
SHORT |= {"max_iters": 12, "eval_interval": 6, "eval_iters": 1}


@pytest.fixture(scope="session")
def plugins():
    from mypt.plugins.manager import load_plugins

    return load_plugins()


@pytest.fixture
def train(in_tmp, plugins, text):
    """Give what trains a model by its name, as `mypt train` does; a field that is None is not set.

    The text that it learns is `input.txt`.
    """
    from mypt.engine.config.overrides import ARCHITECTURE_FIELDS
    from mypt.engine.config.precedence import TrainRequest
    from mypt.engine.training.launch import run_training

    (in_tmp / "input.txt").write_text(text)

    def call(
        name="cat",
        *,
        tokenization="char",
        overwrite=False,
        fall_back=False,
        quiet=True,
        **fields,
    ):
        other = {"dataset_dir", "mixture", "curriculum"} & fields.keys()
        data = {} if other else {"input_file": "input.txt"}
        given = {**SHORT, **data, **fields}
        given = {field: value for field, value in given.items() if value is not None}
        request = TrainRequest(
            model_name=name,
            architecture={k: v for k, v in given.items() if k in ARCHITECTURE_FIELDS},
            training={k: v for k, v in given.items() if k not in ARCHITECTURE_FIELDS},
            tokenization=tokenization,
            overwrite=overwrite,
            fall_back=fall_back,
        )
        return run_training(request, plugins, quiet=quiet).state

    return call


@pytest.fixture
def stop_at(monkeypatch):
    """Give what asks every run from now on to stop once it has done a step; None lets it run."""
    from mypt.data.batches.loader import GPTDataLoader

    draw, stop = GPTDataLoader.train_batch, []

    def train_batch(self, seed, step, micro_step, *rest, **options):
        if [step + 1] == stop and micro_step == 0:
            signal.raise_signal(signal.SIGTERM)
        return draw(self, seed, step, micro_step, *rest, **options)

    monkeypatch.setattr(GPTDataLoader, "train_batch", train_batch)

    def call(step):
        stop[:] = [] if step is None else [step]

    return call


@pytest.fixture
def saved():
    """Give what reads the weights of a model by its name."""
    from mypt.format.bundle.read import read_bundle

    return lambda name="cat": read_bundle(Path("checkpoints") / name).weights()


@pytest.fixture
def digests():
    """Give what reads the digests of a model's weights and optimizer by its name."""

    def call(name="cat"):
        manifest = json.loads(Path("checkpoints", name, "manifest.json").read_text())
        return {file: manifest["files"][file]["sha256"] for file in ("model.pt", "optimizer.pt")}

    return call


@pytest.fixture
def logged():
    """Give what reads the events of a model's log by its name, all or those of one kind."""

    def call(name="cat", kind=None):
        lines = Path("logs", "train", f"{name}_eval.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        return [event for event in events if kind in (None, event["event"])]

    return call


@pytest.fixture
def cli(capsys):
    """Run a command in this process; gives exit code, stdout and stderr."""
    from mypt.cli.main import mypt_group, run

    def call(*arguments, group=mypt_group, name="mypt"):
        code = run(group, name, [str(word) for word in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def refused(cli):
    """Run a command that must fail with one line; gives that line."""

    def call(*arguments, code=1):
        got, out, err = cli(*arguments)
        assert got == code, out + err
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        return err

    return call
