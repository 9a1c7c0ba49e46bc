import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attrs import evolve

import mypt
from mypt.api.checkpoint_manager import resume
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from tests.format.readers.containers.conftest import BARE, IDS
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "lightning_nanogpt"


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


# As Lightning 2.6 writes it, of a module whose attribute `model` is a model of another program.


def compute_loss(module):
    found = module(IDS)
    logits = getattr(found, "logits", found)[:, :-1].flatten(0, 1)
    return F.cross_entropy(logits, IDS[:, 1:].flatten())


class Module:
    """What a LightningModule does with its optimizer, and what Lightning saves of it."""

    def __init__(self, model, *, two=False, weight_decay=0.3):
        self.module = model.module.eval()
        parameters = [*self.module.parameters()]
        groups = [
            {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups if two else parameters, lr=5e-3, weight_decay=weight_decay, eps=1e-6
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda n: 1 - n / 20)
        for _ in range(3):
            self.update()

    def update(self):
        self.optimizer.zero_grad()
        compute_loss(self.module).backward()
        self.optimizer.step()
        self.schedule.step()

    def save(self, path, change=lambda held: None, **more):
        held = {
            "epoch": 1,
            "global_step": 3,
            "pytorch-lightning_version": "2.6.6",
            "state_dict": {f"model.{n}": t for n, t in self.module.state_dict().items()},
            "loops": {},
            "optimizer_states": [self.optimizer.state_dict()],
            "lr_schedulers": [self.schedule.state_dict()],
            "hparams_name": "kwargs",
            "hyper_parameters": {"lr": 5e-3, "max_steps": 20},
            **more,
        }
        change(held)
        torch.save(held, path)
        return path


def write_tokenizer(folder):
    vocab = {chr(200 + number): number for number in range(61)}
    document = {"added_tokens": [], "model": {"type": "BPE", "vocab": vocab, "merges": []}}
    path = folder / "vocabulary.json"
    path.write_text(json.dumps(document))
    return str(path)


@pytest.mark.parametrize("two", [False, True])
def test_training_goes_on_as_in_lightning(model, plugins, tmp_path, two):
    theirs = Module(model, two=two)
    path = theirs.save(tmp_path / "last.ckpt")
    options = {"like": str(model.config), "tokenizer_json": write_tokenizer(tmp_path)}
    opened = open_checkpoint(path, plugins, options)
    training = opened.training_state.training_config
    assert (training.weight_decay, training.learning_rate) == (0.3, 5e-3)
    assert (training.weight_decay_on, training.max_iters) == ("matrices" if two else "all", 20)
    mine, ours, step = resume(opened, training, plugins, torch.device("cpu"))
    assert step == 3
    mine.eval()
    for _ in range(3):
        for group in ours.param_groups:
            group["lr"] = theirs.optimizer.param_groups[0]["lr"]
        theirs.update()
        ours.zero_grad()
        mine.loss(IDS[:, :-1], IDS[:, 1:]).backward()
        ours.step()
        wanted = compute_loss(theirs.module).item()
        assert mine.loss(IDS[:, :-1], IDS[:, 1:]).item() == pytest.approx(wanted, abs=2e-5)


def test_a_prefix_leaves_out_what_is_beside_the_model(model, plugins, tmp_path):
    def add(held):
        held["state_dict"]["loss.weight"] = torch.ones(2)

    theirs = Module(model)
    with torch.no_grad():
        logits = getattr(theirs.module(IDS), "logits", None)
        logits = theirs.module(IDS) if logits is None else logits
    path = theirs.save(tmp_path / "last.ckpt", add)
    evolve(model, logits=logits).check(path, plugins, prefix="model.")
    with pytest.raises(FormatError, match=r"loss\.weight: does not belong"):
        model.check(path, plugins)
    options = {**BARE, "like": str(model.config), "prefix": "model"}
    opened = open_checkpoint(path, plugins, options)
    assert "1 entries whose names do not begin with `model.` are left out" in opened.notes
    assert opened.optimizer() is not None


def test_a_config_among_the_arguments_of_the_module_is_enough(model, plugins, tmp_path):
    theirs = Module(model)
    config = json.loads(model.config.read_text())
    settings = {"lr": 5e-3, "config": config}
    path = theirs.save(tmp_path / "last.ckpt", hyper_parameters=settings)
    found = mypt.load(path, plugins=plugins, options=BARE)
    wanted = mypt.load(path, plugins=plugins, options={**BARE, "like": str(model.config)})
    with torch.no_grad():
        assert torch.equal(found(IDS), wanted(IDS))
    theirs.save(path, hyper_parameters={**settings, "rope": True})
    with pytest.raises(FormatError, match="/hyper_parameters/rope: is not known to mypt"):
        mypt.load(path, plugins=plugins, options=BARE)


def use_adam(held):
    for group in held["optimizer_states"][0]["param_groups"]:
        group["decoupled_weight_decay"] = False


def use_old_torch(held):
    for group in held["optimizer_states"][0]["param_groups"]:
        del group["decoupled_weight_decay"]


def use_two_optimizers(held):
    held["optimizer_states"] *= 2


def give_groups_rates(held):
    held["optimizer_states"][0]["param_groups"][-1]["initial_lr"] = 1.0


def decay_all(held):
    held["optimizer_states"][0]["param_groups"][-1]["weight_decay"] = 0.1


def regroup(held):
    first, second = held["optimizer_states"][0]["param_groups"]
    second["params"].insert(0, first["params"].pop())


def lose_a_moment(held):
    del held["optimizer_states"][0]["state"][0]["exp_avg"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (use_adam, "is of Adam, whose weight decay is not that of AdamW"),
        (use_old_torch, "does not say whether it is of AdamW or of Adam"),
        (use_two_optimizers, "is of 2 optimizers, and mypt has one"),
        (give_groups_rates, "has groups with a learning rate or betas of their own"),
        (decay_all, "decays the parameters of more than its first group"),
        (regroup, "has groups of .* parameters, but the model has"),
        (lose_a_moment, "of a parameter it keeps exp_avg_sq, step"),
        (lambda held: held.update(optimizer_states=[3]), "is not one that AdamW saves"),
    ],
)
def test_an_optimizer_that_is_not_the_one_of_mypt_trains_nothing(
    model, plugins, tmp_path, change, message
):
    path = Module(model, two=True).save(tmp_path / "last.ckpt", change)
    options = {**BARE, "like": str(model.config)}
    opened = open_checkpoint(path, plugins, options)
    with pytest.raises(FormatError, match=message):
        opened.optimizer()
    mypt.load(path, plugins=plugins, options=options)


def test_without_weight_decay_adam_is_adamw(model, plugins, tmp_path):
    theirs = Module(model, two=True, weight_decay=0.0)
    path = theirs.save(tmp_path / "last.ckpt", use_old_torch)
    opened = open_checkpoint(path, plugins, {**BARE, "like": str(model.config)})
    assert opened.optimizer() is not None


def test_a_file_of_weights_alone_has_no_training(model, plugins, tmp_path):
    path = Module(model).save(tmp_path / "last.ckpt", lambda held: held.pop("optimizer_states"))
    opened = open_checkpoint(path, plugins, {**BARE, "like": str(model.config)})
    assert (opened.training_state, opened.optimizer()) == (None, None)
