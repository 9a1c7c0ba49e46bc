"""The check of optimizers: it takes what keeps the contract, and names what does not."""

import pytest
import torch
from attrs import evolve

from mypt.engine.plugin import mypt_optimizers
from mypt.plugins import OptimizerFactory, StateTensor
from mypt.testing import ContractError, check_optimizer, registered
from tests.support import optimizer_plugin
from tests.support.optimizer_plugin import MIXED, MOMENTUM


@pytest.mark.parametrize(
    ("factory", "options", "kept"),
    [
        (MOMENTUM, {"momentum": 0.5}, {"momentum_buffer"}),
        (MOMENTUM, {"momentum": 0}, None),
        (MIXED, {}, {"momentum"}),
    ],
)
def test_what_keeps_the_contract_passes(factory, options, kept):
    state = check_optimizer(factory, options)
    assert state.get("ln_f.weight", {}).keys() == (kept or set())
    assert bool(state) == bool(kept)


def test_it_is_registered_as_in_a_run():
    assert registered(optimizer_plugin).optimizers.keys() == {
        "acme_mixed",
        "acme_momentum",
        "adafactor",
        "adamw",
        "muon",
        "sgd",
    }


MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
OWN = {factory.name: factory for factory in mypt_optimizers()}


@pytest.mark.parametrize(
    ("name", "options", "vector", "matrix"),
    [
        ("adamw", {}, MOMENTS, MOMENTS),
        ("muon", {}, MOMENTS, {"momentum"}),
        ("muon", {"split_qkv": False, "nesterov": False, "ns_steps": 3}, MOMENTS, {"momentum"}),
        ("muon", {"muon_learning_rate": 0.1, "adjust_lr_fn": "none"}, MOMENTS, {"momentum"}),
        ("adafactor", {}, {"step", "variance"}, {"step", "row_var", "col_var"}),
        ("adafactor", {"eps": [1e-15, 0.01], "d": 2}, {"step", "variance"}, None),
        ("sgd", {"nesterov": True}, {"momentum_buffer"}, {"momentum_buffer"}),
        ("sgd", {"momentum": 0}, set(), set()),
    ],
)
def test_mypts_own_keep_it(name, options, vector, matrix):
    state = check_optimizer(OWN[name], options)
    assert state.get("ln_f.weight", {}).keys() == vector
    if matrix is not None:
        assert state.get("blocks.1.sa.qkv.weight", {}).keys() == matrix


def test_every_option_is_described_and_has_a_default():
    for factory in OWN.values():
        for name, option in factory.options.get("properties", {}).items():
            assert {"description", "default"} <= option.keys(), name


class Faulty(torch.optim.SGD):
    """SGD with a momentum, and with one thing wrong."""

    def __init__(self, parameters, fault):
        super().__init__([*parameters.values()], lr=0.01, momentum=0.9)
        self.fault, self.count = fault, 0

    @torch.no_grad()
    def step(self, closure=None):
        self.count += 1
        for group in self.param_groups:
            if self.fault == "rate":
                group["lr"] = 0.01
        super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                self.spoil(p, group)

    def spoil(self, p, group):
        if self.fault == "frozen":
            p.add_(0.1)
        if self.fault == "zeros":
            self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
        if p.grad is None:
            return
        if self.fault == "counter":
            p.add_(p.grad, alpha=0.01 * self.count)
        if self.fault == "group":
            group["dampening"] += 0.01
        if self.fault == "text":
            self.state[p]["note"] = "x"
        if self.fault == "random":
            p.add_(torch.randn_like(p), alpha=0.01)
        if self.fault == "nothing":
            p.copy_(p)
        if self.fault == "infinite":
            p.fill_(float("inf"))


def momentum_state(parameter, group):
    return {"momentum_buffer": StateTensor(parameter.shape)}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("rate", "the schedule of a run has no effect"),
        ("frozen", "it changes blocks.0..*, which has no gradient"),
        ("zeros", "it keeps something for blocks.0..*, which has no gradient"),
        ("counter", "resumed after update .* differs at update .*: it keeps something that is nei"),
        ("group", "it changed `dampening` of a group from 0 to .*, and its `progress` does not"),
        ("text", "it keeps `note` of token_embedding_table.weight, a str: only tensors and numb"),
        ("random", "differs at update"),
        ("infinite", "after two updates weights are not finite"),
    ],
)
def test_what_breaks_it_is_named(fault, said):
    factory = OptimizerFactory("odd", lambda p, _: Faulty(p, fault), momentum_state)
    with pytest.raises(ContractError, match=said):
        check_optimizer(factory)


def test_what_is_declared_otherwise_is_named():
    with pytest.raises(ContractError, match="it has a group without `k`, which it declares"):
        check_optimizer(evolve(MOMENTUM, progress=("k",)))
    with pytest.raises(ContractError, match="has `momentum_buffer`, which the optimizer does not"):
        check_optimizer(evolve(MOMENTUM, state=lambda parameter, group: {}))
    with pytest.raises(ContractError, match="its own schema rejects the options"):
        check_optimizer(MOMENTUM, {"momentum": -1})
    with pytest.raises(ContractError, match="its `settings` is 'lr', not a tuple of names"):
        check_optimizer(evolve(MOMENTUM, settings="lr"))
    with pytest.raises(ContractError, match="ZeroDivisionError"):
        check_optimizer(evolve(MOMENTUM, build=lambda *_: 1 / 0))
    with pytest.raises(ContractError, match="returns NoneType, not Optimizer"):
        check_optimizer(evolve(MOMENTUM, build=lambda *_: None))
    with pytest.raises(ContractError, match="with 3 for 'm', not StateTensor or StateNumber"):
        check_optimizer(evolve(MOMENTUM, state=lambda *_: {"m": 3}))
