"""The years of nanoGPT: its own head until 14 January 2023, the tanh GELU until May 2023."""

import logging
import shutil

import pytest
import torch
import torch.nn.functional as F

import mypt
from mypt.api.checkpoint_manager import resume
from mypt.format.errors import FormatError
from mypt.format.migrate import Migrator
from mypt.format.open import open_checkpoint
from mypt.format.validate import validate
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden" / "nanogpt_compiled"
IDS = torch.arange(24).reshape(3, 8) * 5 % 29
HEAD, PREFIX = "lm_head.weight", "_orig_mod."


def compute_logits(p, args, idx, approximate):
    """nanoGPT's forward pass over a state dict."""
    count = iter(range(args["n_layer"]))

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 1e-5)

    def linear(x, name):
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    x = p["transformer.wte.weight"][idx] + p["transformer.wpe.weight"][: idx.size(1)]
    for at in (f"transformer.h.{layer}" for layer in count):
        parts = linear(norm(x, f"{at}.ln_1"), f"{at}.attn.c_attn").chunk(3, -1)
        q, k, v = (part.unflatten(-1, (args["n_head"], -1)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(mixed.transpose(1, 2).flatten(2), f"{at}.attn.c_proj")
        hidden = F.gelu(linear(norm(x, f"{at}.ln_2"), f"{at}.mlp.c_fc"), approximate=approximate)
        x = x + linear(hidden, f"{at}.mlp.c_proj")
    return norm(x, "transformer.ln_f") @ p.get(HEAD, p["transformer.wte.weight"]).T


@pytest.fixture
def saved(tmp_path):
    """Give what writes a file as nanoGPT did at some time, and its weights without a prefix."""

    def write(without=(), head=None, optimizer=None, **changed):
        folder = tmp_path / "nano"
        shutil.copytree(GOLDEN / "checkpoint", folder, copy_function=shutil.copyfile)
        held = torch.load(folder / "ckpt.pt", weights_only=True)
        model = {n.removeprefix(PREFIX): t * 3 for n, t in held["model"].items()}
        model[HEAD] = model["transformer.wte.weight"] if head is None else head(model[HEAD])
        args = {n: v for n, v in held["model_args"].items() if n not in without} | changed
        contents = {**held, "model": model, "model_args": args, "optimizer": None}
        if optimizer is not None:
            contents["optimizer"] = optimizer(model)
        torch.save(contents, folder / "ckpt.pt")
        return folder / "ckpt.pt", model, args

    return write


def check(model, weights, args, approximate):
    with torch.no_grad():
        wanted = compute_logits(weights, args, IDS, approximate)
        torch.testing.assert_close(model(IDS), wanted, atol=2e-5, rtol=0)


def differ(weights, args):
    both = [compute_logits(weights, args, IDS, kind) for kind in ("tanh", "none")]
    return (both[0] - both[1]).abs().max() > 1e-4


def test_a_file_without_bias_in_its_model_args_has_the_tanh_form(saved, plugins, caplog):
    path, weights, args = saved(without=["bias"])
    assert differ(weights, args)
    with caplog.at_level(logging.WARNING, "mypt"):
        check(mypt.load(path, plugins=plugins), weights, args, "tanh")
    assert caplog.text == ""
    with pytest.raises(FormatError, match="older than 27 January 2023; leave the option out"):
        mypt.load(path, plugins=plugins, options={"activation": "gelu"})


def test_where_the_file_does_not_decide_every_door_names_the_doubt(saved, plugins, caplog, cli):
    path, weights, args = saved()
    doubt = "say so with --option activation=gelu_tanh"
    with caplog.at_level(logging.WARNING, "mypt"):
        check(mypt.load(path, plugins=plugins), weights, args, "none")
    assert doubt in caplog.text
    readers = tuple(plugins.readers.values())
    assert doubt in "".join(map(str, validate(path, plugins.layouts, readers)))
    for words in (
        ("inspect", "--model_name", path),
        ("generate", "--model_name", path, "--prompt", "la", "--max_new_tokens", 1),
        ("format", "migrate", "--dry_run", path),
    ):
        code, out, err = cli(*map(str, words))
        assert (code, doubt in out + err) == (0, True), words


def test_the_option_decides_and_ends_the_doubt(saved, plugins, caplog):
    path, weights, args = saved()
    with caplog.at_level(logging.WARNING, "mypt"):
        for name, form in (("gelu_tanh", "tanh"), ("gelu", "none")):
            model = mypt.load(path, plugins=plugins, options={"activation": name})
            check(model, weights, args, form)
    assert caplog.text == ""


def group_by_module(weights):
    """The groups of nanoGPT until 6 May 2023: matrices of linear layers, sorted; then the rest."""
    linear = [n for n, t in weights.items() if t.dim() == 2 and ".h." in n]
    return {"state": {}, "param_groups": make_groups(len(linear), len(weights) - 1)}


def group_by_shape(weights):
    matrices = [n for n, t in weights.items() if t.dim() == 2 and n != HEAD]
    return {"state": {}, "param_groups": make_groups(len(matrices), len(weights) - 1)}


def make_groups(first, count):
    settings = {"lr": 0.01, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    return [
        {**settings, "params": list(range(first))},
        {**settings, "params": list(range(first, count))},
    ]


@pytest.mark.parametrize(
    ("optimizer", "chosen", "other"),
    [(group_by_module, "gelu_tanh", "gelu"), (group_by_shape, "gelu", "gelu_tanh")],
)
def test_the_groups_of_its_optimizer_date_a_file(saved, plugins, optimizer, chosen, other):
    path, _, _ = saved(optimizer=optimizer)
    info = mypt.get_model_info(path, plugins=plugins)
    assert info["config"]["mlp_type"] == chosen
    assert any(f"--option activation={other}" in note for note in info["notes"])


def test_a_head_of_its_own_is_kept_everywhere(saved, plugins, tmp_path):
    path, weights, args = saved(without=["bias"], head=lambda head: head.flip(0) + 0.5)
    check(mypt.load(path, plugins=plugins), weights, args, "tanh")
    readers = tuple(plugins.readers.values())
    migrator = Migrator(readers=readers, written_by="the tests", layouts=plugins.layouts)
    report = migrator.migrate(path, tmp_path / "bundle")
    assert any("opened untied" in line for line in report.lines)
    assert validate(tmp_path / "bundle", plugins.layouts, checksums=True) == []
    check(mypt.load(tmp_path / "bundle", plugins=plugins), weights, args, "tanh")


def test_a_tied_head_that_is_stored_twice_stays_tied(saved, plugins):
    path, weights, args = saved(head=lambda head: head.clone())
    model = mypt.load(path, plugins=plugins)
    assert model.config.tie_weights
    check(model, weights, args, "none")


def test_training_goes_on_with_a_head_of_its_own(saved, plugins):
    """The moments of the head come along, in nanoGPT's order of parameters."""
    states = {}

    def step(weights):
        p = {n: t.clone().requires_grad_() for n, t in weights.items()}
        groups = [[t for t in p.values() if (t.dim() >= 2) == decays] for decays in (True, False)]
        optimizer = torch.optim.AdamW([{"params": group} for group in groups], lr=1e-2)
        compute_logits(p, {"n_layer": 2, "n_head": 2}, IDS, "none").square().mean().backward()
        optimizer.step()
        states.update({n: optimizer.state[t]["exp_avg"] for n, t in p.items()})
        return optimizer.state_dict()

    path, _, args = saved(head=lambda head: head.flip(0), optimizer=step)
    assert (args["n_layer"], args["n_head"]) == (2, 2)
    opened = open_checkpoint(path, plugins)
    training = opened.training_state.training_config
    model, optimizer, _ = resume(opened, training, plugins, torch.device("cpu"))
    found = {n: optimizer.state[p]["exp_avg"] for n, p in model.named_parameters()}
    assert len(found) == len(states)
    assert torch.equal(found[HEAD], states[HEAD])
    assert torch.equal(found["token_embedding_table.weight"], states["transformer.wte.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "relu"}, "/model_args/activation: is not known to mypt"),
        ({"use_rope": True}, "/model_args/use_rope: is not known to mypt"),
        ({"n_kv_head": 1}, r"/model_args/n_kv_head: is not known to mypt \(did you mean `n_head`"),
        ({"bias": "no"}, "bias: is 'no', not true or false"),
    ],
)
def test_what_a_fork_adds_is_refused_by_name(saved, plugins, change, message):
    path, _, _ = saved(**change)
    with pytest.raises(FormatError, match=message):
        mypt.load(path, plugins=plugins)


def test_an_early_file_that_lacks_its_vocabulary_has_that_of_gpt2(saved, plugins):
    path, _, _ = saved(without=["bias", "vocab_size", "dropout"])
    with pytest.raises(FormatError, match=r"wte\.weight: has shape \(\d+, 8\), not \(50257, 8\)"):
        mypt.get_model_info(path, plugins=plugins, options={"tokenizer": "none"})


def test_what_a_file_leaves_out_is_as_in_nanogpt(saved, plugins):
    path, _, _ = saved(without=["dropout"])
    assert mypt.get_model_info(path, plugins=plugins)["config"]["dropout"] == 0.0
    held = torch.load(path, weights_only=True)
    held["config"] = {name: held["config"][name] for name in ("learning_rate", "weight_decay")}
    held["config"]["weight_decay"] = 0.05
    torch.save(held, path)
    training = mypt.get_model_info(path, plugins=plugins)["training_state"]["training_config"]
    assert (training["grad_clip"], training["weight_decay"]) == (0.0, 0.05)
