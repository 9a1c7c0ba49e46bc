"""Optimizers of pytorch_optimizer: their contract, whole runs, and the library's own updates."""

import pytest
import pytorch_optimizer
import torch
from mypt_pytorch_optimizer.plugin import OFFERED

import mypt
from mypt.cli.main import main
from mypt.engine.optimizers.build import make_optimizer
from mypt.format.open import open_checkpoint
from mypt.plugins.manager import load_plugins
from mypt.testing import check_optimizer

NAMES = [offered.name for offered in OFFERED]
SHAPE = {"block_size": 8, "vocab_size": 30, "n_embd": 16, "n_head": 2, "n_layer": 1}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"beta1": 0.5, "beta2": 0.7}])
def test_it_does_what_an_optimizer_must(name, options):
    check_optimizer(load_plugins().optimizers[name], options)


@pytest.mark.parametrize("offered", OFFERED)
def test_updates_are_those_of_the_library(offered):
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(mypt.GPT(mypt.GPTConfig(**SHAPE)))
    settings = {"learning_rate": 0.01, "weight_decay": 0.1, "weight_decay_on": "all"}
    training = mypt.TrainingConfig(optimizer=offered.name, **settings)
    theirs = getattr(pytorch_optimizer, offered.class_name)(
        models[1].parameters(), lr=0.01, weight_decay=0.1, weight_decouple=True
    )
    ours = make_optimizer(models[0], training)
    for step in range(4):
        for model, optimizer in zip(models, (ours, theirs), strict=True):
            chance = torch.Generator().manual_seed(step)
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=chance)
            optimizer.step()
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(one, other)


def run_mypt(*words):
    with pytest.raises(SystemExit) as end:
        main([*words])
    assert end.value.code in (None, 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_with_it_is_resumed_with_the_same_weights(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("the cat sat on the mat, twice. " * 60)
    words = ("--optimizer", name, "--learning_rate", "0.01", "--input_file", "text.txt")
    words += ("--n_layer", "1", "--n_embd", "16", "--n_head", "2", "--block_size", "8")
    words += ("--eval_interval", "4", "--eval_iters", "1", "--dropout", "0.1")
    steps = ("--max_iters", "12", "--snapshot_interval", "6")
    run_mypt("train", "--model_name", "whole", *steps, *words)
    (tmp_path / "checkpoints" / "whole_step00000006").rename(tmp_path / "checkpoints" / "again")
    run_mypt("train", "--model_name", "again")
    folder, plugins = tmp_path / "checkpoints", load_plugins()
    whole, again = (open_checkpoint(folder / name, plugins) for name in ("whole", "again"))
    assert again.training_state.exact
    for key, tensor in whole.weights().items():
        assert torch.equal(tensor, again.weights()[key]), key
    groups = again.optimizer()["param_groups"]
    assert {group["step"] for group in groups} == {12}
    assert {group["weight_decay"] for group in groups} == {0.1, 0.0}
    run_mypt("format", "validate", "checkpoints/again")


@pytest.mark.parametrize("name", NAMES)
def test_its_counter_goes_on_where_groups_become_one(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("the cat sat on the mat, twice. " * 60)
    words = ("--model_name", "cat", "--optimizer", name, "--input_file", "text.txt")
    words += ("--n_layer", "1", "--n_embd", "16", "--n_head", "2", "--block_size", "8")
    words += ("--tokenization", "char", "--eval_interval", "4", "--eval_iters", "1")
    run_mypt("train", *words, "--max_iters", "4")
    run_mypt("train", *words, "--max_iters", "6", "--weight_decay", "0")
    groups = torch.load("checkpoints/cat/optimizer.pt", weights_only=True)["param_groups"]
    assert [group["step"] for group in groups] == [6]
