"""nanochat's optimizer: its updates against its formulas, and its files against whole states."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from mypt_nanochat.optimizer.groups import ADAMW, find_kind, split_rows
from mypt_nanochat.reader.folders import choose_model
from mypt_nanochat.reader.model import list_sources, read_config
from mypt_nanochat.reader.optimizer_files import list_shards, read_optimizer

import mypt
from mypt.engine.optimizers.build import continue_optimizer
from mypt.format.open import open_checkpoint
from mypt.plugins import FormatError, GPTConfig
from mypt.plugins.manager import load_plugins
from mypt.testing import check_optimizer

FIXTURE = Path(__file__).parents[4] / "shared" / "fixtures" / "neighbours" / "nanochat_d2"
FOLDER = Path("base_checkpoints", "d2")
needs_fixture = pytest.mark.skipif(
    not FIXTURE.is_dir(), reason="the checkpoints of neighbours are not beside this checkout"
)
POLYNOMIALS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


@pytest.fixture
def plugins():
    return load_plugins()


@pytest.fixture
def copy(tmp_path):
    """A copy of the fixture that may be changed."""
    if not FIXTURE.is_dir():
        pytest.skip("the checkpoints of neighbours are not beside this checkout")
    shutil.copytree(FIXTURE, tmp_path / "nanochat")
    for path in (tmp_path / "nanochat").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path / "nanochat"


OPTIONS = {
    "precision": "bfloat16",
    "matrices": {"iterations": 3, "momentum": 0.9, "beta2": 0.5},
    "embedding": {"learning_rate": 0.02, "beta1": 0.5, "eps": 1e-8, "weight_decay": 0.1},
}


@pytest.mark.parametrize("options", [{}, OPTIONS])
def test_it_does_what_an_optimizer_must(plugins, options):
    check_optimizer(plugins.optimizers["muon_adamw"], options)


def test_a_run_with_it_is_resumed_with_the_same_weights(whole_life, plugins):
    fields = json.loads((Path(__file__).parents[1] / "nanochat.json").read_text())
    kinds = [name for name in fields if name.endswith("_type")] + ["pos_encoding", "qk_norm"]
    flags = [flag for name in kinds for flag in (f"--{name}", fields[name])]
    off = ["--norm_weight=False", "--mlp_bias=False", "--n_kv_head=2"]
    model = whole_life(*flags, *off, "--optimizer", "muon_adamw", "--learning_rate", "0.02")
    kept = open_checkpoint(Path("checkpoints/whole"), plugins).optimizer()["state"]
    qkv = kept["blocks.layers.0.sa.qkv.weight"]
    assert [tuple(qkv[f"mean_square_{n}"].shape) for n in range(3)] == [(32, 1), (1, 32), (1, 32)]
    assert kept["blocks.smear.gate.weight"].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert kept.keys() == dict(model.named_parameters()).keys()


def test_parameters_are_of_the_kinds_of_nanochat():
    shapes = {"blocks.1.sa.qkv.weight": (96, 32), "blocks.1.sa.proj.weight": (32, 64)}
    assert split_rows("blocks.1.sa.qkv.weight", shapes) == (64, 16, 16)
    assert split_rows("blocks.1.sa.proj.weight", shapes) == (32,)
    assert find_kind("blocks.1.sa.qkv.weight", (96, 32)) == "matrices"
    assert find_kind("blocks.1.ln.bias", (32,)) == "scalars"
    assert find_kind("position_embedding_table.weight", (9, 32)) == "embedding"


def update_by_formulas(weights, gradients, state, groups):
    """nanochat's update of its own tensors and state, each matrix for itself.

    `groups` are pairs of the settings of a group of its file and the names of its parameters.
    """
    for settings, names in groups:
        for place, name in enumerate(names):
            w, g = weights[name], gradients[name]
            first = settings["params"][0]
            if settings["kind"] == "adamw":
                kept = state[settings["params"][place]]
                kept["step"] += 1
                (b1, b2), lr = settings["betas"], settings["lr"]
                kept["exp_avg"] = b1 * kept["exp_avg"] + (1 - b1) * g
                kept["exp_avg_sq"] = b2 * kept["exp_avg_sq"] + (1 - b2) * g**2
                mean = kept["exp_avg"] / (1 - b1 ** kept["step"])
                square = kept["exp_avg_sq"] / (1 - b2 ** kept["step"])
                decayed = w * (1 - lr * settings["weight_decay"])
                weights[name] = decayed - lr * mean / (square.sqrt() + settings["eps"])
                continue
            m, v = (state[first][f"{k}momentum_buffer"] for k in ("", "second_"))
            mu, b2 = settings["momentum"], settings["beta2"]
            m[place] = mu * m[place] + (1 - mu) * g
            x = (1 - mu) * g + mu * m[place]
            x = x / x.norm(dim=1, keepdim=True).clamp_min(1e-6) * x.norm() / math.sqrt(len(x))
            x = x / (1.01 * x.norm() + 1e-6)
            for a, b, c in POLYNOMIALS[: settings["ns_steps"]]:
                x = a * x + b * (x @ x.T) @ x + c * (x @ x.T) @ (x @ x.T) @ x
            x = x * math.sqrt(min(x.shape)) / x.norm()
            along = 1 if x.size(0) >= x.size(1) else 0
            v[place] = b2 * v[place] + (1 - b2) * (x**2).mean(along, keepdim=True)
            y = x / v[place].sqrt()
            y = y * x.norm() / y.norm()
            lr = settings["lr"] * math.sqrt(max(1, x.size(0) / x.size(1)))
            weights[name] = w - lr * (y + settings["weight_decay"] * w * (y * w >= 0))


def name_groups(groups, weights):
    """Yield the names of each group's parameters, from the order of nanochat's tensors."""
    layers = [n for n in weights if n.startswith("transformer.h.")]
    yield groups[0], ["lm_head.weight"]
    yield groups[1], ["transformer.wte.weight"]
    yield groups[2], [n for n in weights if n.startswith("value_embeds.")]
    yield groups[3], ["resid_lambdas"]
    yield groups[4], ["x0_lambdas"]
    yield groups[5], ["smear_gate.weight", "smear_lambda", "backout_lambda"]
    for group, shape in zip(groups[6:], sorted({weights[n].shape for n in layers}), strict=True):
        yield group, [n for n in layers if weights[n].shape == shape]


@needs_fixture
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_the_next_updates_are_those_of_nanochats_formulas(decay, copy, plugins, tmp_path, run_mypt):
    (shard,) = copy.glob("*/*/optim_*.pt")
    saved = torch.load(shard, weights_only=True)
    for group in saved["param_groups"]:
        if group["kind"] == "muon":
            group["weight_decay"] = decay
    torch.save(saved, shard)
    weights = torch.load(copy / FOLDER / "model_000003.pt", weights_only=True)
    code, out, said = run_mypt("format", "migrate", copy / FOLDER, "--output", "ours")
    assert code == 0, out + said
    opened = open_checkpoint(Path("ours"), plugins)
    training = opened.training_state.training_config
    assert (opened.training_state.step, training.grad_clip) == (3, 0.0)
    assert (training.learning_rate, training.weight_decay) == (0.02, decay)
    model = mypt.load("ours", plugins=plugins)
    optimizer = continue_optimizer(model, training, opened.optimizer())
    sources = list_sources(model.config)
    groups = list(name_groups(saved["param_groups"], weights))
    chance = torch.Generator().manual_seed(0)
    for _ in range(4):
        gradients = {n: torch.randn(w.shape, generator=chance) * 0.02 for n, w in weights.items()}
        for name in ("transformer.wte.weight", "lm_head.weight", "value_embeds.1.weight"):
            gradients[name][400:] = 0  # rows beyond the vocabulary
        for name, parameter in model.named_parameters():
            parameter.grad = sources[name].take(gradients)
        optimizer.step()
        update_by_formulas(weights, gradients, saved["state"], groups)
        for name, parameter in model.named_parameters():
            wanted = sources[name].take(weights)
            torch.testing.assert_close(parameter.detach(), wanted, atol=2e-6, rtol=2e-6, msg=name)
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates["embedding"] == saved["param_groups"][1]["initial_lr"]


@needs_fixture
def test_a_run_goes_on_from_it(copy, run_mypt, tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat, twice. " * 60)
    code, out, said = run_mypt("format", "migrate", copy / FOLDER, "--output", "checkpoints/ours")
    assert code == 0, out + said
    code, out, said = run_mypt("format", "validate", "checkpoints/ours")
    assert code == 0, out + said
    flags = ("--max_iters", "5", "--input_file", "text.txt", "--eval_iters", "1")
    code, out, said = run_mypt("train", "--model_name", "ours", *flags)
    assert code == 0, out + said
    kept = open_checkpoint(Path("checkpoints/ours"), load_plugins()).optimizer()
    assert kept["state"]["lm_head.weight"]["step"] == 5


def cut_into_ranks(folder, count):
    """Write a step's state as so many processes of nanochat keep it."""
    (whole,) = folder.glob("optim_*_rank0.pt")
    saved = torch.load(whole, weights_only=True)
    muon = {g["params"][0]: len(g["params"]) for g in saved["param_groups"] if g["kind"] == "muon"}
    for rank in range(count):
        state = {}
        for index, entry in saved["state"].items():
            if index in muon:
                size = -(-muon[index] // count)
                state[index] = {k: cut(v, size, rank) for k, v in entry.items()}
            else:
                cuts = entry["exp_avg"].numel() >= 1024
                size = len(entry["exp_avg"]) // count
                state[index] = {
                    k: v if k == "step" or not cuts else cut(v, size, rank)
                    for k, v in entry.items()
                }
        path = whole.with_name(whole.name.replace("rank0", f"rank{rank}"))
        torch.save({"state": state, "param_groups": saved["param_groups"]}, path)


def cut(stack, size, rank):
    part = stack[rank * size : (rank + 1) * size]
    return torch.cat([part, torch.zeros(size - len(part), *stack.shape[1:])]).clone()


def read_saved(folder):
    files = choose_model(folder, None, None)
    weights = torch.load(files.weights, weights_only=True)
    sources = list_sources(GPTConfig(**read_config(files.meta, 1000)))
    return read_optimizer(list_shards(files), load_whole, sources, weights)


def load_whole(path):
    return torch.load(path, weights_only=True)


@needs_fixture
@pytest.mark.parametrize("count", [2, 4, 16])
def test_the_files_of_several_processes_are_one_state(count, copy):
    whole = read_saved(copy / FOLDER)
    cut_into_ranks(copy / FOLDER, count)
    assert len([*(copy / FOLDER).glob("optim_*")]) == count
    found = read_saved(copy / FOLDER)
    assert found.training == whole.training
    assert found.document["param_groups"] == whole.document["param_groups"]
    for name, entry in whole.document["state"].items():
        for key, value in entry.items():
            held = found.document["state"][name][key]
            assert held == value if key == "step" else torch.equal(held, value), (name, key)


@needs_fixture
def test_a_state_without_one_of_its_files_is_told_of_and_the_model_opens(copy, plugins):
    cut_into_ranks(copy / FOLDER, 4)
    (copy / FOLDER / "optim_000003_rank2.pt").unlink()
    assert_only_inference(copy, plugins, "as one of 3 processes keeps")


def assert_only_inference(copy, plugins, reason):
    opened = open_checkpoint(copy / FOLDER, plugins)
    assert reason in str(FormatError(*opened.flaws))
    assert opened.weights().keys() == dict(mypt.load(copy / FOLDER).state_dict()).keys()
    with pytest.raises(FormatError, match=re.escape(reason)):
        opened.optimizer()


DAMAGE = {
    "has groups of": lambda s: s["param_groups"].pop(),
    "has a group without the settings of one": lambda s: s["param_groups"][0].pop("betas"),
    "has other settings for some of the matrices": lambda s: s["param_groups"][7].update(lr=1.0),
    "nan in the place of a positive number": lambda s: s["param_groups"][1].update(lr=math.nan),
    "1.0 in the place of a number below 1": lambda s: s["param_groups"][1].update(betas=(1, 0)),
    "9 iterations": lambda s: [g.update(ns_steps=9) for g in s["param_groups"][6:]],
    "has no `exp_avg`": lambda s: s["state"][0].pop("exp_avg"),
    "has something else for `step`": lambda s: s["state"][0].update(step=None),
    "has something else for `momentum_buffer`": lambda s: s["state"][9].update(momentum_buffer=1),
    "has shape (2,), not (1,)": lambda s: s["state"][6].update(exp_avg=torch.zeros(2)),
    "is not the state of an optimizer": lambda s: s.pop("state"),
}


@needs_fixture
@pytest.mark.parametrize("reason", DAMAGE)
def test_a_state_of_another_form_is_told_of_and_the_model_opens(reason, copy, plugins):
    (shard,) = copy.glob("*/*/optim_*.pt")
    saved = torch.load(shard, weights_only=True)
    DAMAGE[reason](saved)
    torch.save(saved, shard)
    assert_only_inference(copy, plugins, reason)


def test_another_step_is_read_where_it_is_asked_for(base):
    folder = base(step=7)
    base(step=12)
    base("chatsft_checkpoints/d4", step=3)
    options = {"model": "base_checkpoints/d4", "step": 7}
    assert choose_model(folder, "base_checkpoints/d4", None).step == 12
    assert choose_model(folder, "base_checkpoints/d4", 7).step == 7
    mypt.load(folder, options=options)
    assert choose_model(folder / "chatsft_checkpoints", None, None).step == 3
    with pytest.raises(FormatError, match=r"has steps 7, 12, and not 8.*--option step=7"):
        mypt.load(folder, options={**options, "step": 8})


def test_the_settings_are_those_of_a_new_model_of_nanochat():
    usual = {"unembedding": 0.004, "embedding": 0.2, "value_embedding": 0.1, "residual": 0.005}
    usual |= {"first": 0.5, "scalars": 0.2}
    assert {kind: held.rate * 0.02 for kind, held in ADAMW.items()} == pytest.approx(usual)
