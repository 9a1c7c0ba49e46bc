"""What every command does with the mean of the weights, and with a run that a limit ended."""

import json

import pytest
import torch

import mypt
from mypt.api.doctor import check_model
from mypt.api.info import get_model_info
from mypt.api.listing import list_checkpoints
from mypt.engine.config.precedence import TrainRequest
from mypt.engine.training.launch import run_training
from mypt.format.bundle.read import read_bundle
from mypt.format.downgrade import downgrade
from mypt.format.storage.files import OPTIMIZER
from mypt.format.validate import validate

DECAY = 0.75


@pytest.fixture
def averaged(train, in_tmp):
    """Train a model with a mean of its weights; give its folder."""
    train(max_iters=6, ema=DECAY)
    return in_tmp / "checkpoints" / "cat"


def rewrite(folder, change):
    """Change the optimizer's state of a bundle by hand, without its manifest."""
    contents = torch.load(folder / OPTIMIZER, weights_only=True)
    change(contents["state"])
    torch.save(contents, folder / OPTIMIZER)
    (folder / "manifest.json").unlink()


def test_the_copy_is_listed_described_checked_and_generates(averaged, plugins):
    copy = averaged.with_name("cat_ema")
    rows = {row["name"]: row for row in list_checkpoints(averaged.parent, plugins=plugins)}
    assert rows["cat_ema"]["copy_kind"] == "ema"
    assert rows["cat_ema"]["valid"]
    info = get_model_info(averaged, plugins=plugins)
    assert str(copy) in info["copies"]
    assert get_model_info(copy, plugins=plugins)["training_state"]["mean_decay"] == DECAY
    kinds = {row["kind"]: row for row in check_model(averaged, plugins=plugins)["checkpoints"]}
    assert kinds["ema"]["whole"]
    assert kinds["ema"]["train"] is None
    text = mypt.load(copy, plugins=plugins).generate("a", max_new_tokens=3, seed=1)
    assert len(text) >= 3


def test_a_damaged_model_names_the_copy(averaged, plugins):
    for name in ("cat", "cat_gold", "cat_fp16"):
        (averaged.with_name(name) / "model.pt").write_bytes(b"PK")
    with pytest.raises(mypt.MyptError, match="cat_ema"):
        mypt.load(averaged, plugins=plugins)


def test_another_run_does_not_replace_the_copy(averaged, train):
    averaged.rename(averaged.with_name("old"))
    for name in ("cat_gold", "cat_fp16"):
        averaged.with_name(name).rename(averaged.with_name(name.replace("cat", "old")))
    with pytest.raises(mypt.UsageError, match="cat_ema: is the ema copy of another run of cat"):
        train(max_iters=2, ema=DECAY)
    train(max_iters=2)  # which makes none


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda entry: entry.update(ema=entry["ema"][:1]), "ema: has shape"),
        (lambda entry: entry.update(ema=entry["ema"].half()), "has dtype float16, not float32"),
        (lambda entry: entry.pop("ema"), "has no mean of 1 parameter"),
    ],
)
def test_what_is_wrong_with_the_mean_is_found(change, what, averaged, plugins):
    assert validate(averaged, plugins.layouts, settings=plugins.settings) == []
    rewrite(averaged, lambda state: change(state["lm_head.weight"]))
    problems = [
        str(problem) for problem in validate(averaged, plugins.layouts, settings=plugins.settings)
    ]
    assert any(what in problem for problem in problems), problems


def test_a_mean_that_was_lost_begins_anew_and_is_said(averaged, train):
    rewrite(averaged, lambda state: [entry.pop("ema") for entry in state.values()])
    state = train(max_iters=7, ema=DECAY)
    assert any("has no mean of" in reason for reason in state.inexact_reasons)


def test_version_1_has_no_mean_and_says_so(averaged, plugins, in_tmp):
    report = downgrade(averaged, in_tmp / "old", plugins.layouts, dry_run=False)
    assert any("the mean of the weights is left out" in line for line in report.lines)
    contents = torch.load(in_tmp / "old" / OPTIMIZER, weights_only=True)
    assert all("ema" not in entry for entry in contents["state"].values())


def test_training_the_copy_begins_a_run_of_its_own_with_its_weights(averaged, train, in_tmp):
    state = train("cat_ema", max_iters=8)
    assert (state.step, state.copy_of, state.mean_decay) == (8, None, None)
    assert any("are a mean of those of the run" in reason for reason in state.inexact_reasons)


def test_a_run_that_a_limit_ended_is_complete_for_every_door(train, in_tmp, plugins, text):
    state = train(max_iters=50, max_tokens=1, eval_interval=10)
    assert (state.step, state.evaluated_step) == (1, 1)
    folder = in_tmp / "checkpoints" / "cat"
    assert folder.with_name("cat_fp16").is_dir()
    assert "max_tokens is 1" in get_model_info(folder, plugins=plugins)["ended"]
    assert get_model_info(folder.with_name("cat_fp16"), plugins=plugins)["ended"] is None
    outcome = run_training(
        TrainRequest(model_name="cat", architecture={}, training={}), plugins, quiet=True
    )
    assert (outcome.complete, outcome.trained) == (True, False)
    lines = (in_tmp / "logs" / "train" / "cat_eval.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert (last["event"], last["ended_by"]) == ("training_complete", "max_tokens")
    assert "max_tokens is 1" in last["reason"]
    train("tuned", max_iters=2, init_from_model="cat", tokenization=None)
    assert read_bundle(in_tmp / "checkpoints" / "tuned").training_state.step == 2


def test_fit_says_that_a_limit_is_reached_already(train, in_tmp, plugins, text, caplog):
    train(max_iters=50, max_tokens=1, eval_interval=10)
    model = mypt.load(in_tmp / "checkpoints" / "cat", plugins=plugins)
    loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="text")
    state = model.fit(loader, checkpoint_dir=in_tmp / "checkpoints" / "cat", quiet=True)
    assert state.step == 1
    assert "max_tokens is 1" in caplog.text
