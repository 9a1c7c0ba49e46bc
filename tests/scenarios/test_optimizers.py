"""The optimizers that come with mypt: exact, changed for one another, given by hand, validated."""

import itertools
import json
from pathlib import Path

import pytest
import torch

import mypt
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import ConfigError
from mypt.format.validate import validate

NAMES = ("adamw", "muon", "adafactor", "sgd")
FOLDER = Path("checkpoints/cat")
KEPT = dict.fromkeys(("learning_rate", "max_iters", "eval_interval", "eval_iters"))
SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 2}


def state_of(name="cat"):
    return read_bundle(Path("checkpoints", name)).optimizer()


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_run_that_is_stopped_ends_in_the_same_bytes(name, train, stop_at, digests):
    options = {"optimizer": name, "grad_clip": 0.5, "warmup_iters": 3, "grad_accum_steps": 2}
    train("whole", **options)
    for step in (1, 4, 9):
        stop_at(step)
        train(**options)
    stop_at(None)
    state = train(tokenization=None, **KEPT, dropout=None, batch_size=None)
    assert (state.step, state.exact, state.inexact_reasons) == (12, True, ())
    assert digests() == digests("whole")
    assert validate(FOLDER) == []
    assert state_of()["optimizer"] == name
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert manifest["plugins"] == {}


def test_sgd_without_momentum_keeps_nothing_and_resumes_exactly(train, stop_at, digests):
    options = {"optimizer": "sgd", "optimizer_options": {"momentum": 0}}
    train("whole", **options)
    stop_at(5)
    train(**options)
    assert state_of()["state"] == {}
    stop_at(None)
    state = train(**options)
    assert (state.exact, state.inexact_reasons) == (True, ())
    assert digests() == digests("whole")


# Of the parameters of the model: those that are matrices of its two layers.
LOST = {("adamw", "muon"): 8, ("muon", "adamw"): 8}


@pytest.mark.parametrize(("was", "now"), [*itertools.permutations(NAMES, 2)])
def test_another_optimizer_says_once_what_begins_anew(was, now, train, capsys):
    train(max_iters=6, optimizer=was)
    before = state_of()["state"]
    total = len(before)
    state = train(max_iters=8, optimizer=now, optimizer_options={}, quiet=False)
    reasons = list(state.inexact_reasons)
    lost = LOST.get((was, now), total)
    said = f"step 6: the optimizer changed from {was} to {now}: the state of {lost} of {total} "
    assert reasons == ["step 6: max_iters changed from 6 to 8", f"{said}parameters begins anew"]
    assert "begins anew" in " ".join(capsys.readouterr().out.split())
    after = state_of()["state"]
    assert state_of()["optimizer"] == now
    went_on = [n for n, e in after.items() if "step" in e and int(e["step"]) == 8]
    assert len(went_on) == (total - lost if lost != total else 0)
    assert validate(FOLDER) == []


def test_a_change_at_once_is_the_same_as_by_way_of_a_stop(train, digests):
    """What goes on is what the file says, so that it goes on alike however often."""
    train(max_iters=6, optimizer="adamw")
    train("other", max_iters=6, optimizer="adamw")
    train(max_iters=8, optimizer="muon")
    train("other", max_iters=8, optimizer="muon")
    assert digests() == digests("other")


def test_a_frozen_part_is_not_counted(train):
    train(max_iters=6, freeze_embeddings=True)
    state = train(max_iters=8, optimizer="sgd")
    (reason,) = [r for r in state.inexact_reasons if "optimizer" in r]
    assert reason.endswith(f"of {len(state_of()['state'])} parameters begins anew")


def test_no_state_is_lost_where_none_is_kept(train):
    train(max_iters=6)
    state = train(max_iters=8, optimizer="sgd", optimizer_options={"momentum": 0})
    assert "step 6: the optimizer changed from adamw to sgd: sgd keeps no state" in (
        state.inexact_reasons
    )


@pytest.fixture
def new_model(text):
    def call():
        from mypt.plugins.manager import load_plugins

        tokenizer = load_plugins().tokenizer("char").train(text)
        config = mypt.GPTConfig(**SHAPE, vocab_size=tokenizer.vocab_size, dropout=0.2, device="cpu")
        return mypt.GPT(config, tokenizer)

    return call


@pytest.fixture
def fit(text):
    def call(model, optimizer=None, folder=None, **options):
        loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="input.txt")
        run = {"max_iters": 12, "eval_interval": 6, "eval_iters": 1, "quiet": True}
        return model.fit(loader, optimizer, checkpoint_dir=folder, **{**run, **options})

    return call


MADE = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, weight_decay=0.1),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.02, weight_decay=0.1),
}


@pytest.mark.parametrize("name", MADE)
def test_torchs_own_is_trained_with_and_gone_on_with(name, fit, new_model, in_tmp, digests):
    whole = new_model()
    fit(whole, MADE[name](whole.parameters()), in_tmp / "checkpoints" / "whole")
    model = new_model()
    made = MADE[name](model.parameters())
    state = fit(model, made, FOLDER, max_iters=6)
    assert state.training_config.optimizer == name
    assert state.training_config.weight_decay_on == "all"
    fit(mypt.load("cat"), None, FOLDER, max_iters=12)
    ours, theirs = digests(), digests("whole")
    assert ours["optimizer.pt"] != ""
    other = new_model()
    fit(other, MADE[name](other.parameters()), in_tmp / "checkpoints" / "again")
    assert digests("again") == theirs


@pytest.mark.parametrize("name", NAMES[1:])
def test_fit_takes_a_name_and_goes_on_in_memory(name, fit, new_model, in_tmp):
    fit(new_model(), name, in_tmp / "checkpoints" / "whole", learning_rate=0.01)
    model = new_model()
    fit(model, name, FOLDER, max_iters=5, learning_rate=0.01)
    state = fit(model, None, FOLDER)
    assert not any("optimizer" in reason for reason in state.inexact_reasons)
    assert state_of()["optimizer"] == name


def test_torchs_muon_is_refused_with_what_to_do(fit, new_model, in_tmp):
    model = new_model()
    matrices = [p for p in model.parameters() if p.dim() == 2]
    with pytest.raises(ConfigError, match='pass optimizer="muon"'):
        fit(model, torch.optim.Muon(matrices), FOLDER)
    assert not FOLDER.exists()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("muon", {"moment": 0.9}, "did you mean `momentum`"),
        ("muon", {"momentum": 1.0}, "momentum"),
        ("muon", {"ns_steps": 0}, "ns_steps"),
        ("muon", {"muon_learning_rate": 0}, "muon_learning_rate"),
        ("adafactor", {"d": 0.5}, "optimizer_options/d"),
        ("adafactor", {"eps": [1e-3]}, "optimizer_options/eps"),
        ("sgd", {"nesterov": True, "momentum": 0}, "nesterov.*needs a momentum above 0"),
    ],
)
def test_what_is_mistyped_trains_nothing(name, options, said, train):
    with pytest.raises(ConfigError, match=said):
        train(optimizer=name, optimizer_options=options)
    assert not FOLDER.exists()


def test_version_1_is_written_without_its_state(train, cli):
    train(optimizer="muon", max_iters=2)
    code, out, err = cli("format", "migrate", FOLDER, "--to", "1")
    assert code == 0, err
    assert "optimizer.pt is left out: it is of muon, and MyPT has AdamW alone" in " ".join(
        out.split()
    )
    code, out, err = cli("inspect", "cat")
    assert (code, err) == (0, "")
    assert "muon" in out


def test_a_state_that_is_not_what_it_keeps_is_refused(train):
    train(optimizer="muon", max_iters=2)
    contents = torch.load(FOLDER / "optimizer.pt", weights_only=True)
    contents["state"]["blocks.0.sa.qkv.weight"]["momentum"] = torch.zeros(3)
    del contents["state"]["ln_f.weight"]["exp_avg"]
    torch.save(contents, FOLDER / "optimizer.pt")
    (FOLDER / "manifest.json").unlink()
    found = {(p.kind, p.where) for p in validate(FOLDER) if p.severity == "error"}
    assert found == {
        ("optimizer.shape", "state.blocks.0.sa.qkv.weight.momentum"),
        ("optimizer.form", "state.ln_f.weight"),
    }
