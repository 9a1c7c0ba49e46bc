"""What `mypt.load`, `GPT` and `CheckpointManager` say of what a user of Python can mend."""

import json
from pathlib import Path

import pytest
import torch
from attrs import evolve

import mypt
from mypt.format.rules.documents import document_problems
from mypt.model import transformer
from mypt.plugins.manager import load_plugins

SHAPE = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 10}


@pytest.mark.parametrize("device", ["gpu", "cuda:99", torch.device("cuda:99")])
def test_a_device_that_is_not_there_is_named(bundle, device):
    with pytest.raises(mypt.MyptError, match=f"^device: `{device}` is not available here"):
        mypt.load(bundle, device=device)


def test_a_device_may_be_torchs_own(bundle):
    assert mypt.load(bundle, device=torch.device("cpu")).generate("the", 1)


def test_what_a_bundle_does_not_ask_for_is_named_as_it_is_in_python(bundle):
    with pytest.raises(
        mypt.MyptError, match=r"^options/lora_alpha: is for files of other programs"
    ):
        mypt.load(bundle, options={"lora_alpha": 32.0})


def test_an_option_that_a_reader_lacks_is_named_as_it_is_in_python(fixtures):
    with pytest.raises(mypt.MyptError, match=r"^options/alpha: is not an option of the reader"):
        mypt.load(fixtures / "mypt" / "legacy_latest_char", options={"alpha": 3})


def test_a_name_that_is_a_path_is_named_as_it_is_in_python():
    with pytest.raises(mypt.MyptError, match=r"^model_name: `x/y` contains"):
        mypt.CheckpointManager("x/y")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"n_layer": -1}, "/n_layer: is -1"),
        ({"n_layer": "2"}, '/n_layer: is "2"'),
        ({"dropout": 1.5}, "/dropout: is 1.5"),
        ({"device": 3}, "/device: is 3"),
        ({"n_layer": 1.5, "vocab_size": 0}, "/n_layer: is 1.5"),
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


def test_the_config_of_a_bundle_is_checked_once(bundle, monkeypatch):
    checked = []

    def check(kind, *args):
        checked.append(kind)
        return document_problems(kind, *args)

    monkeypatch.setattr(transformer, "document_problems", check)
    model = mypt.load(bundle)
    assert checked == []
    mypt.GPT(model.config)  # by whoever has it now
    assert checked == ["config"]


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
