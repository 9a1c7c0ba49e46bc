"""Muon beside torch's, and which parameters it takes."""

import math

import pytest
import torch

import mypt
from mypt.engine.optimizers import muon as muon_module
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.optimizers.newton_schulz import choose_dtype, orthogonalize
from mypt.format.documents.training import TrainingConfig
from mypt.format.optimizers.muon import is_hidden_matrix, list_rows

SHAPE = {"block_size": 8, "vocab_size": 30, "n_embd": 16, "n_head": 2, "n_layer": 2, "dropout": 0.0}


def make(options=None, shape=None, **fields):
    torch.manual_seed(0)
    model = mypt.GPT(mypt.GPTConfig(**{**SHAPE, **(shape or {})}))
    settings = {"optimizer": "muon", "learning_rate": 0.01, "weight_decay": 0.1, **fields}
    training = TrainingConfig(**settings, optimizer_options=options or {})
    return model, make_optimizer(model, training)


def gradients(model, step):
    chance = torch.Generator().manual_seed(step)
    return {name: torch.randn(p.shape, generator=chance) for name, p in model.named_parameters()}


def update(model, *optimizers, step):
    given = gradients(model, step)
    for name, parameter in model.named_parameters():
        parameter.grad = given[name].clone()
    for optimizer in optimizers:
        optimizer.step()


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
@pytest.mark.parametrize("n_steps", [3, 5])
def test_updates_are_those_of_torch_whose_rounding_is_coarser(nesterov, adjust, n_steps):
    options = {"nesterov": nesterov, "adjust_lr_fn": adjust, "ns_steps": n_steps}
    options |= {"split_qkv": False, "momentum": 0.9, "muon_learning_rate": 0.02}
    ours, optimizer = make(options)
    theirs, _ = make()
    layers = {n: p for n, p in theirs.named_parameters() if is_hidden_matrix(n, tuple(p.shape))}
    others = [p for n, p in theirs.named_parameters() if n not in layers]
    decayed = [p for n, p in theirs.named_parameters() if n == "lm_head.weight"]
    kept = [p for p in others if all(p is not d for d in decayed)]
    settings = {"lr": 0.02, "momentum": 0.9, "nesterov": nesterov, "ns_steps": n_steps}
    peers = (
        torch.optim.Muon([*layers.values()], weight_decay=0.1, adjust_lr_fn=adjust, **settings),
        torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.1}, {"params": kept, "weight_decay": 0.0}],
            lr=0.01,
            betas=(0.9, 0.95),
            fused=True,
        ),
    )
    begun = {name: p.detach().clone() for name, p in ours.named_parameters()}
    for step in range(3):
        update(ours, optimizer, step=step)
        update(theirs, *peers, step=step)
    assert len(layers) == 8
    wanted = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        if name in layers:
            moved, expected = parameter - begun[name], wanted[name] - begun[name]
            assert (moved - expected).norm() < 0.03 * expected.norm(), name
        else:
            assert torch.equal(parameter, wanted[name]), name


@pytest.mark.parametrize("size", [(3, 8, 8), (2, 24, 8), (2, 8, 24)])
def test_singular_values_come_near_1(size):
    matrices = torch.randn(size, generator=torch.Generator().manual_seed(3))
    result = orthogonalize(matrices, 5)
    values = torch.linalg.svdvals(result)
    assert result.shape == matrices.shape
    assert (values.min() > 0.3, values.max() < 1.3) == (True, True)
    alone = torch.stack([orthogonalize(one[None], 5)[0] for one in matrices])
    torch.testing.assert_close(result, alone)
    assert orthogonalize(torch.zeros(1, 4, 4), 5).eq(0).all()


def test_a_cpu_orthogonalizes_in_float32():
    assert choose_dtype(torch.zeros(1)) == torch.float32


def test_queries_keys_and_values_are_three_matrices():
    options = {"momentum": 0.0, "adjust_lr_fn": "none"}
    model, optimizer = make(options, {"n_kv_head": 1}, weight_decay=0.0)
    name = "blocks.0.sa.qkv.weight"
    qkv = dict(model.named_parameters())[name]
    before, gradient = qkv.detach().clone(), gradients(model, 0)[name]
    update(model, optimizer, step=0)
    parts = [orthogonalize(part[None], 5)[0] for part in gradient.split([16, 8, 8])]
    torch.testing.assert_close(qkv, before - 0.01 * torch.cat(parts))
    (group,) = [g for g in optimizer.param_groups if name in g["param_names"]]
    assert (group["rows"], group["name"]) == ([16, 8, 8], "matrices")


def test_which_parameters_are_matrices_of_layers():
    assert is_hidden_matrix("blocks.0.sa.qkv.weight", (48, 16))
    assert is_hidden_matrix("blocks.layers.3.mlp.w_up.weight", (64, 16))
    for name, shape in (
        ("token_embedding_table.weight", (30, 16)),
        ("lm_head.weight", (30, 16)),
        ("blocks.0.ln1.weight", (16,)),
        ("blocks.1.value_embedding.weight", (30, 16)),
        ("blocks.0.gate.weight", (1, 16)),
        ("blocks.0.conv.weight", (16, 1, 4)),
        ("blocks.smear.gate.weight", (4, 16)),
    ):
        assert not is_hidden_matrix(name, shape), name
    assert list_rows("blocks.0.x.qkv.weight", {"blocks.0.x.qkv.weight": (48, 16)}) == [48]


def test_matrices_of_one_shape_are_alike_however_many_at_once(monkeypatch):
    results = []
    for together in (1, 1 << 22):
        monkeypatch.setattr(muon_module, "_TOGETHER", together)
        model, optimizer = make()
        update(model, optimizer, step=0)
        results.append([p.detach().clone() for p in model.parameters()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_decay_rules_and_rates_are_those_of_the_run():
    model, optimizer = make({"muon_learning_rate": 0.3}, weight_decay_on="all", beta1=0.7)
    decays = {name: g["weight_decay"] for g in optimizer.param_groups for name in g["param_names"]}
    assert set(decays.values()) == {0.1}
    _, optimizer = make({"muon_learning_rate": 0.3}, beta1=0.7)
    found = {(g["name"], g["lr"], g["weight_decay"], g["betas"][0]) for g in optimizer.param_groups}
    assert found == {
        ("matrices", 0.3, 0.1, 0.7),
        ("others", 0.01, 0.1, 0.7),
        ("others", 0.01, 0.0, 0.7),
    }
    assert decays.keys() == dict(model.named_parameters()).keys()


def test_updates_are_as_large_as_those_of_adamw():
    for shape in ((64, 16), (16, 64), (16, 16)):
        _, optimizer = make({"momentum": 0.0}, weight_decay=0.0)
        parameter = torch.nn.Parameter(torch.zeros(shape))
        group = next(g for g in optimizer.param_groups if g["name"] == "matrices")
        group["params"], group["rows"] = [parameter], None
        parameter.grad = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        optimizer.step()
        size = float(parameter.detach().square().mean().sqrt()) / 0.01
        assert math.isclose(size, 0.2, rel_tol=0.25)
