"""Models to compare."""

import pytest

import mypt
from mypt.plugins.manager import load_plugins

SHORT = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 2}


@pytest.fixture(scope="module")
def plugins():
    return load_plugins()


@pytest.fixture
def model(plugins, tmp_path, text):
    """Save an untrained model; gives a function from a name and fields of the config."""

    def make(name, kind="char", seed=1, text=text, **fields):
        tokenizer = plugins.tokenizer(kind).train(text)
        config = mypt.GPTConfig(**{**SHORT, "vocab_size": tokenizer.vocab_size, **fields})
        folder = tmp_path / name
        mypt.GPT(config, tokenizer, seed=seed).save_checkpoint_bundle(
            folder, step=3, training_config={"learning_rate": 0.1 * seed}, overwrite=True
        )
        return str(folder)

    return make
