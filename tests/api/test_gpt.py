"""What `GPT` checks, and how often."""

import json
from pathlib import Path

import pytest
from attrs import evolve

import mypt
from mypt.model import transformer
from mypt.plugins.manager import load_plugins

SHAPE = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 10}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"n_layer": -1}, "n_layer: is -1"),
        ({"n_layer": "2"}, 'n_layer: is "2"'),
        ({"dropout": 1.5}, "dropout: is 1.5"),
        ({"device": 3}, "device: is 3"),
        ({"n_layer": 1.5, "vocab_size": 0}, "n_layer: is 1.5"),
        ({"n_head": 3}, "n_head: is 3, which does not divide n_embd"),
    ],
)
def test_a_config_that_its_schema_refuses_makes_no_model(fields, said):
    with pytest.raises(mypt.MyptError) as refused:
        mypt.GPT(mypt.GPTConfig(**{**SHAPE, **fields}))
    assert str(refused.value).count("\n") == len(fields) - 1
    assert said in str(refused.value)


@pytest.fixture
def model():
    tokenizer = load_plugins().tokenizer("char").train("the cat")
    return mypt.GPT(mypt.GPTConfig(**SHAPE), tokenizer)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_iters": "x"}, 'max_iters: is "x"'),
        ({"max_iterss": 5}, "max_iterss: is not an option .did you mean `max_iters`"),
        ({"lr": 1}, "lr: is not an option .did you mean `learning_rate`"),
        ({"min_lr": -1}, "min_lr: "),
        ({"n_layers": 1}, "n_layers: is not an option: `n_layer` is a field of GPTConfig; corr"),
    ],
)
def test_hyperparameters_are_checked_before_they_are_saved(model, tmp_path, given, said):
    with pytest.raises(mypt.MyptError, match=f"^{said}"):
        model.save_checkpoint_bundle(tmp_path / "cat", 5, None, given)
    assert not (tmp_path / "cat").exists()


def test_hyperparameters_are_saved(model, tmp_path):
    model.save_checkpoint_bundle(tmp_path / "cat", 5, None, {"max_iters": 7})
    state = json.loads(Path(tmp_path, "cat", "training_state.json").read_text())
    assert (state["step"], state["training_config"]["max_iters"]) == (5, 7)


def test_only_the_very_config_of_a_bundle_is_trusted():
    config = mypt.GPTConfig(**{**SHAPE, "n_head": 3})
    with transformer.trust_config(config), pytest.raises(mypt.MyptError, match="n_head: is 3"):
        mypt.GPT(evolve(config))


def test_a_text_asks_once_for_the_tokenizer(bundle, monkeypatch):
    model, asked = mypt.load(bundle), []
    need = mypt.GPT.need_tokenizer
    monkeypatch.setattr(mypt.GPT, "need_tokenizer", lambda self: asked.append(1) or need(self))
    model.generate("the", 2)
    "".join(model.stream("the", 2))
    list(model.generate_many(["the", "a"], 2, samples=2, batch_size=1))
    assert len(asked) == 3
