"""Tiny real bundles for the tests of `mypt.format`."""

import json

import pytest

from mypt.format.documents.config import GPTConfig
from tests.support.bundles import adamw_state, random_weights, save_random_bundle

TINY = {"block_size": 16, "vocab_size": 11, "n_embd": 8, "n_head": 2, "n_layer": 3}


@pytest.fixture(scope="session")
def tiny():
    return lambda **changed: GPTConfig(**{**TINY, **changed})


@pytest.fixture(scope="session")
def weights_of():
    """Give random weights for a config; tied ones share their memory."""
    return random_weights


@pytest.fixture(scope="session")
def adamw_of():
    """Give the state of AdamW after one step on these weights."""
    return adamw_state


@pytest.fixture(scope="session")
def save():
    """Commit a whole bundle; give its manifest."""
    return save_random_bundle


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
