"""Checkpoints of the earlier programs open with the numbers that those programs computed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import mypt
from mypt.api.checkpoint_manager import resume
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling
from mypt.plugins.manager import load_plugins
from tests.support.paths import FIXTURES

PLUGINS = load_plugins()
FOLDER = FIXTURES / "mypt"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/expected_logits.npy"))


@pytest.fixture(params=NAMES or [None])
def case(request):
    """Path of a checkpoint, its folder, and what its program computed."""
    if request.param is None:
        pytest.skip("the checkpoints of the earlier programs are not beside this checkout")
    folder = FOLDER / request.param
    expected = json.loads((folder / "expected.json").read_text())
    return folder / expected["checkpoint"], folder, expected


def test_the_logits_are_those_of_the_program_that_wrote_it(case):
    path, folder, expected = case
    model = mypt.load(path, plugins=PLUGINS)
    ids = torch.tensor([expected["prompt_ids"]])[:, -model.config.block_size :]
    with torch.no_grad():
        logits = model(ids).numpy()
    wanted = np.load(folder / "expected_logits.npy")[:, -ids.size(1) :]
    half = any("16" in str(t.dtype) for t in open_checkpoint(path, PLUGINS).weights().values())
    np.testing.assert_allclose(logits, wanted, atol=1e-3 if half else 1e-5)


def test_the_prompt_is_encoded_and_continued_as_by_the_program_that_wrote_it(case):
    path, _, expected = case
    model = mypt.load(path, plugins=PLUGINS)
    assert model.tokenizer.encode(expected["prompt_text"]) == expected["prompt_ids"]
    ids = torch.tensor([expected["prompt_ids"]])
    tokens = generate(model, ids, len(expected["greedy_ids"]), Sampling(temperature=0))
    assert [int(token) for token in tokens] == expected["greedy_ids"]


def test_step_and_parameters_are_told_without_torch(case):
    path, _, expected = case
    info = mypt.get_model_info(path)
    assert info["parameters"] == expected["n_parameters"]
    state = info["training_state"]
    assert (state and state["step"]) == expected["step"]


def test_training_goes_on_as_in_the_program_that_wrote_it(case):
    """Weights and moments together: the losses of the next updates on a fixed batch."""
    path, _, expected = case
    if "next_step" not in expected:
        pytest.skip("this checkpoint has no optimizer state, or no losses to compare with")
    following = expected["next_step"]
    opened = open_checkpoint(path, PLUGINS)
    training = opened.training_state.training_config
    model, optimizer, _ = resume(opened, training, PLUGINS, torch.device("cpu"))
    x, y = torch.tensor(following["batch_x"]), torch.tensor(following["batch_y"])
    assert model.eval().loss(x, y).item() == pytest.approx(following["loss_before"], abs=1e-5)
    for update in following["steps"]:
        for group in optimizer.param_groups:
            group["lr"] = update["lr"]
        optimizer.zero_grad()
        model.eval().loss(x, y).backward()
        if following["grad_clip"] > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), following["grad_clip"])
        optimizer.step()
        assert model.loss(x, y).item() == pytest.approx(update["loss_after"], abs=1e-5)


@pytest.fixture
def old(fixtures, in_tmp):
    """A folder with a `latest.pt` under `checkpoints/`."""
    folder = in_tmp / "checkpoints" / "old"
    folder.mkdir(parents=True)
    shutil.copyfile(fixtures / "mypt" / "legacy_latest_char" / "latest.pt", folder / "latest.pt")
    return folder


def test_a_legacy_file_is_resumed_into_a_bundle_and_left_alone(old, fixtures):
    from mypt.engine.config.precedence import TrainRequest
    from mypt.engine.training.launch import run_training

    before = (old / "latest.pt").read_bytes()
    step = mypt.get_model_info(old)["training_state"]["step"]
    data = str(fixtures / "mypt" / "datasets" / "dante_char")
    training = {"dataset_dir": data, "max_iters": step + 2, "eval_iters": 1}
    run_training(TrainRequest(model_name="old", training=training), PLUGINS, quiet=True)
    assert (old / "latest.pt").read_bytes() == before
    bundle = read_bundle(old)
    assert bundle.training_state.step == step + 2
    assert bundle.config.mlp_type == "relu"
    assert bundle.training_state.training_config.start_step == step


def test_load_legacy_gives_model_tokenizer_step_and_optimizer_state(old):
    model, tokenizer, step, optimizer = mypt.GPT.load_legacy(old / "latest.pt")
    assert step == mypt.get_model_info("old")["training_state"]["step"]
    assert tokenizer.decode(tokenizer.encode("Nel mezzo")) == "Nel mezzo"
    assert len(optimizer["state"]) == len(list(model.parameters()))
    model.save_checkpoint_bundle("checkpoints/new", step, optimizer)
    assert read_bundle(Path("checkpoints/new")).training_state.step == step


@pytest.mark.parametrize("change", ["missing", "renamed", "wrong shape"])
def test_a_file_that_lacks_a_tensor_is_refused(old, change):
    contents = torch.load(old / "latest.pt", weights_only=True)
    weights, name = contents["model_state_dict"], "blocks.1.sa.heads.2.value.weight"
    tensor = weights.pop(name)
    if change == "renamed":
        weights[name.replace("value", "valeu")] = tensor
    elif change == "wrong shape":
        weights[name] = tensor[:, 1:].contiguous()
    torch.save(contents, old / "latest.pt")
    with pytest.raises(FormatError, match=r"heads\.2\.value\.weight"):
        mypt.get_model_info("old")
    with pytest.raises(FormatError, match=r"heads\.2\.value\.weight"):
        mypt.load("old")


def test_a_tensor_that_no_model_has_is_refused(old):
    contents = torch.load(old / "latest.pt", weights_only=True)
    contents["model_state_dict"]["blocks.1.sa.heads.2.extra.weight"] = torch.zeros(2)
    contents["optimizer_state_dict"] = None
    torch.save(contents, old / "latest.pt")
    with pytest.raises(FormatError, match="extra"):
        mypt.load("old")


def test_a_run_that_goes_on_after_a_migration_names_the_gold_that_is_there(fixtures, in_tmp, cli):
    """The family of a model of MyPT, as it is found in its `checkpoints/`."""
    names = ("modern_char", "modern_char_gold", "modern_char_fp16")
    for name in names:
        shutil.copytree(fixtures / "mypt" / name, in_tmp / "checkpoints" / name)
    chars = json.loads((fixtures / "mypt" / "modern_char" / "tokenizer.json").read_text())["chars"]
    (in_tmp / "input.txt").write_text("".join(chars) * 40)
    assert cli("format", "migrate", "--all", "checkpoints")[0] == 0
    flags = ("--input_file", "input.txt", "--max_iters", "221", "--eval_iters", "1")
    code, out, err = cli("train", "--model_name", "modern_char_v2", *flags)
    assert code == 0, err
    gold = "checkpoints/modern_char_v2_gold"
    assert f"  Best (GOLD) checkpoint: {gold} (step 180, val_loss=2.6950)" in out.splitlines()
    assert read_bundle(in_tmp / gold).training_state.step == 180
    printed = [word for line in out.splitlines()[-3:] for word in line.split() if "/" in word]
    assert all((in_tmp / place).is_dir() for place in printed)
    assert len(printed) == 3
