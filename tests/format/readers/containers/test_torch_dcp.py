"""Folders saved by torch.distributed.checkpoint, of real models."""

import json
import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp

import mypt
from mypt.format.errors import FormatError
from mypt.format.migrate import Migrator
from mypt.format.open import open_checkpoint
from tests.format.readers.containers.conftest import BARE


def save(state, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that there is one process alone
        dcp.save(state, checkpoint_id=folder)
    return folder


def with_optimizer(state):
    """What a script saves that keeps its optimizer and its place beside the model."""
    moments = {n: {"exp_avg": t, "exp_avg_sq": t} for n, t in state.items()}
    return {"optimizer": {"state": moments, "param_groups": [{"lr": 0.1}]}, "epoch": 3}


@pytest.mark.parametrize("nested", [False, True])
def test_the_logits_are_those_of_the_program(model, plugins, tmp_path, nested):
    state = {"model": model.state, **with_optimizer(model.state)} if nested else model.state
    folder = save(state, tmp_path / "dcp")
    opened = model.check(folder, plugins)
    migrator = Migrator(
        readers=tuple(plugins.readers.values()),
        written_by="the tests",
        layouts=plugins.layouts,
        options={**BARE, "like": str(model.config)},
    )
    report = migrator.migrate(folder, tmp_path / "bundle")
    if nested:
        assert any(
            line.endswith("saved there as epoch, optimizer is left out") for line in report.lines
        )
    held = mypt.load(tmp_path / "bundle", plugins=plugins).state_dict()
    for name, tensor in opened.state_dict().items():
        assert torch.equal(held[name], tensor)


def test_a_prefix_says_which_of_several_models_it_is(model, plugins, tmp_path):
    other = {name: tensor + 1 for name, tensor in model.state.items()}
    folder = save({"state_dict": {"model": model.state, "ema": other}}, tmp_path / "dcp")
    for prefix in ("state_dict.model", "state_dict.model."):
        model.check(folder, plugins, prefix=prefix)
    with pytest.raises(AssertionError):
        model.check(folder, plugins, prefix="state_dict.ema")
    with pytest.raises(FormatError, match=r"no tensor whose name begins with module\.; it has"):
        model.check(folder, plugins, prefix="module")
    with pytest.raises(FormatError):
        model.check(folder, plugins)


def test_half_precision_is_read_as_it_is(model, plugins, tmp_path):
    state = {name: tensor.bfloat16() for name, tensor in model.state.items()}
    folder = save({"model": state}, tmp_path / "dcp")
    model.check(folder, plugins, atol=0.5)
    opened = open_checkpoint(folder, plugins, {**BARE, "like": str(model.config)})
    assert {tensor.dtype for tensor in opened.weights().values()} == {torch.bfloat16}


def test_the_architecture_is_asked_for(model, plugins, tmp_path):
    folder = save({"model": model.state}, tmp_path / "dcp")
    with pytest.raises(FormatError, match=r"not its architecture; .*--option like=config\.json"):
        mypt.load(folder, plugins=plugins, options=BARE)
    with pytest.raises(FormatError, match=r"does not say what its 61 ids stand for"):
        mypt.load(folder, plugins=plugins, options={"like": str(model.config)})


def last_matrix(state):
    return [name for name, tensor in state.items() if tensor.dim() == 2 and "head" not in name][-1]


def drop(state):
    return {name: tensor for name, tensor in state.items() if name != last_matrix(state)}


def rename(state):
    last = last_matrix(state)
    return {f"{name}x" if name == last else name: tensor for name, tensor in state.items()}


def reshape(state):
    last = last_matrix(state)
    return {name: tensor[:-1] if name == last else tensor for name, tensor in state.items()}


def add(state):
    return {**state, "loss.weight": torch.ones(2)}


def add_state(state):
    return {**state, "h._extra_state": {"scale": 2}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, "weight: is missing"),
        (rename, "weightx: does not belong"),
        (reshape, "has shape .* not"),
        (add, r"loss\.weight: does not belong"),
        (add_state, r"h\._extra_state\.scale: is the state of a module that computes with more"),
    ],
)
def test_what_is_not_the_model_of_the_config_is_refused(model, plugins, tmp_path, change, message):
    folder = save({"model": change(model.state)}, tmp_path / "dcp")
    options = {**BARE, "like": str(model.config)}
    for open_it in (mypt.get_model_info, mypt.load):
        with pytest.raises(FormatError, match=message):
            open_it(folder, plugins=plugins, options=options)


@pytest.mark.parametrize("key", ["n_embd", "hidden_size", "n_layer", "num_hidden_layers"])
def test_a_config_that_lies_is_refused(model, plugins, tmp_path, key):
    held = json.loads(model.config.read_text())
    if key not in held:
        pytest.skip("it is called otherwise here")
    model.config.write_text(json.dumps({**held, key: held[key] * 2}))
    folder = save({"model": model.state}, tmp_path / "dcp")
    with pytest.raises(FormatError, match=r"has shape|is missing|declares"):
        mypt.load(folder, plugins=plugins, options={**BARE, "like": str(model.config)})
