"""Real runs of tiny models, in an empty folder."""

import json
import signal
from pathlib import Path

import pytest

from mypt.data.batches.loader import GPTDataLoader
from mypt.engine.config.overrides import ARCHITECTURE_FIELDS
from mypt.engine.config.precedence import TrainRequest
from mypt.engine.training.launch import run_training
from mypt.format.bundle.read import read_bundle
from mypt.plugins.manager import load_plugins

FIELDS = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "batch_size": 2}
FIELDS |= {"dropout": 0.2, "device": "cpu", "learning_rate": 0.01}
FIELDS |= {"max_iters": 12, "eval_interval": 6, "eval_iters": 1}


@pytest.fixture(scope="session")
def plugins():
    return load_plugins()


@pytest.fixture
def train(in_tmp, plugins, text):
    """Give what trains a model by its name, as `mypt train` does; a field that is None is not set.

    The text that it learns is `input.txt`.
    """
    (in_tmp / "input.txt").write_text(text)

    def call(name="cat", *, tokenization="char", quiet=True, **fields):
        data = {} if {"dataset_dir", "curriculum"} & fields.keys() else {"input_file": "input.txt"}
        given = {**FIELDS, **data, **fields}
        given = {field: value for field, value in given.items() if value is not None}
        request = TrainRequest(
            model_name=name,
            architecture={k: v for k, v in given.items() if k in ARCHITECTURE_FIELDS},
            training={k: v for k, v in given.items() if k not in ARCHITECTURE_FIELDS},
            tokenization=tokenization,
        )
        return run_training(request, plugins, quiet=quiet).state

    return call


@pytest.fixture
def stop_at(monkeypatch):
    """Give what asks every run from now on to stop once it has done a step; None lets it run."""
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
