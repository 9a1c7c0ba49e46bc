"""Tiny real bundles for the tests of `mypt.format`."""

import json

import pytest
import torch

from mypt.format.bundle.write import save_bundle
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import TrainingState
from mypt.format.layout import BUILT_IN, expected_tensors
from mypt.format.storage.commit import open_for_writing

TINY = {"block_size": 16, "vocab_size": 11, "n_embd": 8, "n_head": 2, "n_layer": 3}


@pytest.fixture(scope="session")
def tiny():
    return lambda **changed: GPTConfig(**{**TINY, **changed})


@pytest.fixture(scope="session")
def weights_of():
    """Give random weights for a config; tied ones share their memory."""

    def make(config, seed=0):
        generator = torch.Generator().manual_seed(seed)
        tensors = {
            name: torch.randn(shape, generator=generator)
            for name, shape in expected_tensors(config, BUILT_IN).items()
        }
        if config.tie_weights:
            tensors["lm_head.weight"] = tensors["token_embedding_table.weight"]
        return tensors

    return make


@pytest.fixture(scope="session")
def adamw_of():
    """Give the state of AdamW after one step on these weights."""

    def make(weights):
        parameters = [
            torch.nn.Parameter(w.clone()) for w in {id(w): w for w in weights.values()}.values()
        ]
        optimizer = torch.optim.AdamW(parameters)
        sum((p**2).sum() for p in parameters).backward()
        optimizer.step()
        return optimizer.state_dict()

    return make


@pytest.fixture(scope="session")
def save(weights_of, adamw_of):
    """Commit a whole bundle; give its manifest."""

    def make(folder, config, seed=0, step=3, *, with_training=True, tokenizer=None, **changed):
        weights = weights_of(config, seed)
        chars = tuple("abcdefghijklmnopqrstuvwxyz"[: config.vocab_size])
        with open_for_writing(folder) as writer:
            return save_bundle(
                writer,
                config=config,
                tokenizer=tokenizer or TokenizerState(token_kind="char", chars=chars),
                training_state=TrainingState(step=step) if with_training else None,
                weights=weights,
                optimizer=adamw_of(weights) if with_training else None,
                written_by="the tests",
                **changed,
            )

    return make


@pytest.fixture
def bundle(tmp_path, tiny, save):
    """A saved bundle to read and to spoil."""
    folder = tmp_path / "dante"
    save(folder, tiny())
    return folder


@pytest.fixture(scope="session")
def edit():
    """Change fields of a JSON file as a person would, or take one out with None."""

    def change(path, **fields):
        document = json.loads(path.read_text("utf-8")) | fields
        kept = {name: value for name, value in document.items() if value is not None}
        path.write_text(json.dumps(kept), "utf-8")

    return change
