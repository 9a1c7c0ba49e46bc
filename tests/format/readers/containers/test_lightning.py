import shutil

import numpy as np
import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "lightning_nanogpt"
BARE = {"tokenizer": "none"}


@pytest.fixture
def changed(tmp_path):
    """Give what writes the file with some changes."""

    def write(change):
        path = tmp_path / "last.ckpt"
        shutil.copyfile(GOLDEN / "checkpoint" / "last.ckpt", path)
        held = torch.load(path, weights_only=True)
        change(held)
        torch.save(held, path)
        return path

    return write


def rename(held, prefix):
    names = {name: name.removeprefix("model.") for name in held["state_dict"]}
    held["state_dict"] = {prefix + names[n]: t for n, t in held["state_dict"].items()}


@pytest.mark.parametrize("prefix", ["", "net.", "model._orig_mod.", "module.model."])
def test_the_attribute_that_holds_the_model_may_have_any_name(changed, plugins, prefix):
    path = changed(lambda held: rename(held, prefix))
    model = mypt.load(path, plugins=plugins, options=BARE)
    with torch.no_grad():
        found = model(torch.tensor([[3, 0, 30, 7, 7]])).numpy()
    np.testing.assert_allclose(found, np.load(GOLDEN / "expected_logits.npy"), atol=1e-5)


def test_the_characters_are_asked_for(changed, plugins):
    path = changed(lambda held: None)
    ways = r'\(in Python: options=\{"chars": \.\.\.\} or .* or \{"tokenizer": "none"\}\)$'
    said = r"--option chars=\.\.\., or --option .*json, or --option tokenizer=none " + ways
    with pytest.raises(FormatError, match=said):
        mypt.load(path, plugins=plugins)
    chars = "abcdefghijklmnopqrstuvwxyz .,!?"
    model = mypt.load(path, plugins=plugins, options={"chars": chars})
    assert model.tokenizer.chars == tuple(chars)


def test_a_head_of_its_own_is_kept(changed, plugins):
    def untie(held):
        held["state_dict"]["model.lm_head.weight"] = torch.ones(31, 8)

    assert not mypt.load(changed(untie), plugins=plugins, options=BARE).config.tie_weights


def beside(held):
    held["state_dict"]["loss.weight"] = torch.ones(2)


def another_model(held):
    held["state_dict"] = {"model.conv.weight": torch.ones(2, 2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda held: held.pop("hyper_parameters"),
            r"saves with self\.save_hyperparameters.*--option like",
        ),
        (lambda held: held["hyper_parameters"].pop("n_head"), "n_head: is missing"),
        (lambda held: held["hyper_parameters"].update(rope=True), "/hyper_parameters/rope: is not"),
        (beside, "loss.weight: does not belong to a model"),
        (another_model, "is of PyTorch Lightning, and holds a model that is not nanoGPT's"),
    ],
)
def test_what_it_does_not_say_is_refused(changed, plugins, change, message):
    with pytest.raises(FormatError, match=message):
        mypt.load(changed(change), plugins=plugins, options=BARE)
