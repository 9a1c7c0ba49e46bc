"""Optimizers that somebody else made, in the terms of the format."""

import pytest
import torch
from attrs import evolve

import mypt
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.optimizers.given import (
    check_optimizer,
    describe_groups,
    describe_optimizer,
    merge_described,
)
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError
from mypt.model.torch_private import AdamW
from mypt.testing import registered
from tests.support import optimizer_plugin
from tests.support.optimizer_plugin import MIXED, MOMENTUM

SHAPE = {"block_size": 8, "vocab_size": 50, "n_embd": 16, "n_head": 2, "n_layer": 1, "dropout": 0.0}


@pytest.fixture
def model():
    return mypt.GPT(mypt.GPTConfig(**SHAPE), plugins=registered(optimizer_plugin))


class Subclass(torch.optim.AdamW):
    """With a name of its own, and nothing else."""


class Doubled(torch.optim.AdamW):
    def step(self, closure=None):
        super().step(closure)
        return super().step(closure)


@pytest.mark.parametrize("kind", [torch.optim.AdamW, AdamW, Subclass])
def test_adamw_by_any_name_is_taken(model, kind):
    optimizer = kind(model.parameters())
    torch.optim.lr_scheduler.StepLR(optimizer, 3)  # wraps the step, to count them
    check_optimizer(optimizer, model)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: torch.optim.AdamW(p, amsgrad=True), "is of AdamW with amsgrad"),
        (lambda p: torch.optim.AdamW(p, maximize=True), "is of AdamW with maximize"),
    ],
)
def test_what_makes_other_updates_is_refused(model, make, said):
    with pytest.raises(ConfigError, match=f"^optimizer: {said}.*torch.optim.AdamW"):
        check_optimizer(make(model.parameters()), model)


def test_the_optimizer_of_another_model_is_refused(model):
    other = torch.optim.AdamW(mypt.GPT(model.config).parameters())
    with pytest.raises(ConfigError, match=r"^optimizer: holds tensors that are not parameters"):
        check_optimizer(other, model)


@pytest.mark.parametrize("make", [torch.optim.RMSprop, torch.optim.Adam, Doubled])
def test_what_no_factory_builds_is_refused_with_what_there_is(model, make):
    known = "acme_mixed and acme_momentum and adafactor and adamw and muon and sgd"
    said = f"^optimizer: is {make.__name__}, but mypt trains and resumes with {known} alone; make"
    with pytest.raises(ConfigError, match=said):
        describe_optimizer(make(model.parameters()), model, {}, TrainingConfig())


@pytest.mark.parametrize(
    ("factory", "options"), [(MOMENTUM, {"momentum": 0.5}), (MIXED, {}), (MIXED, {"decay": 0.5})]
)
def test_what_a_factory_builds_is_known_by_its_class_and_groups(model, factory, options):
    training = TrainingConfig(optimizer_options=options, learning_rate=0.02, weight_decay=0.0)
    optimizer = factory.build(dict(model.named_parameters()), training)
    given = {"optimizer_options": options, "weight_decay": 0.0}
    described = describe_optimizer(optimizer, model, given, TrainingConfig())
    assert described.is_saveable
    assert described.training == {
        "optimizer": factory.name,
        "optimizer_options": options,
        "learning_rate": 0.02,
    }


def test_other_groups_than_those_of_a_resume_are_refused(model):
    names = [name for name, p in model.named_parameters() if p.dim() > 1]
    matrices = [p for p in model.parameters() if p.dim() > 1]
    optimizer = torch.optim.SGD(matrices, lr=0.1)
    assert names
    said = "optimizer: has other groups of parameters by the optimizer sgd, which a resume build"
    with pytest.raises(ConfigError, match=said):
        describe_optimizer(optimizer, model, {}, TrainingConfig())
    training = TrainingConfig(optimizer_options={"momentum": 0.5}, weight_decay=0.0)
    optimizer = MOMENTUM.build(dict(model.named_parameters()), training)
    described = describe_optimizer(optimizer, model, {}, TrainingConfig())
    assert described.training["optimizer_options"] == {"momentum": 0.5}
    given = {"weight_decay": 0.0, "optimizer_options": {"momentum": 0.4}}
    said = "optimizer: has momentum 0.5 for token_embedding_table.weight, not 0.4 by the optimizer"
    with pytest.raises(
        ConfigError, match=f"{said} (sgd|acme_momentum), .*pass the optimizer_options"
    ):
        describe_optimizer(optimizer, model, given, TrainingConfig())


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True),
            ("sgd", {"momentum": 0.8, "dampening": 0, "nesterov": True}, 0.1, 0.0, "linear"),
        ),
        (
            lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.2),
            ("sgd", {"momentum": 0, "dampening": 0, "nesterov": False}, 0.1, 0.2, "all"),
        ),
        (
            lambda p: torch.optim.Adafactor(p, lr=0.02, d=2.0, eps=(1e-6, 1e-3)),
            ("adafactor", {"d": 2.0, "eps": [1e-6, 1e-3], "beta2_decay": -0.8}, 0.02, 0.0, "all"),
        ),
    ],
)
def test_torchs_own_are_known_by_their_settings(model, make, wanted):
    name, options, rate, decay, rule = wanted
    described = describe_optimizer(make(model.parameters()), model, {}, TrainingConfig())
    assert described.training["optimizer"] == name
    assert described.training["optimizer_options"] == options
    assert described.training["learning_rate"] == rate
    assert described.training["weight_decay"] == decay
    assert described.training["weight_decay_on"] in (rule, "all")


def test_mypts_muon_is_known_with_two_peaks(model):
    options = {"muon_learning_rate": 0.03, "momentum": 0.9}
    training = TrainingConfig(optimizer="muon", optimizer_options=options, learning_rate=0.002)
    optimizer = make_optimizer(model, training)
    given = {"optimizer_options": options}
    described = describe_optimizer(optimizer, model, given, TrainingConfig())
    assert described.training["learning_rate"] == 0.002
    described = describe_optimizer(
        make_optimizer(model, evolve(training, optimizer_options={"momentum": 0.9})),
        model,
        {},
        TrainingConfig(),
    )
    assert described.training["optimizer_options"]["momentum"] == 0.9


def test_what_torch_does_otherwise_is_refused(model):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    said = r'^optimizer: is Muon of torch, which is not what mypt\'s muon is; .*="muon"'
    with pytest.raises(ConfigError, match=said):
        describe_optimizer(torch.optim.Muon(matrices), model, {}, TrainingConfig())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, maximize=True)
    with pytest.raises(ConfigError, match=r"has maximize True for .* by the optimizer sgd"):
        describe_optimizer(optimizer, model, {}, TrainingConfig())


def groups_of(*changes):
    names = ["a.weight", "b.weight", "c"]
    settings = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    return [([name], {**settings, **change}) for name, change in zip(names, changes, strict=True)]


SHAPES = {"a.weight": (2, 2), "b.weight": (2, 2), "c": (2,)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (({}, {}, {"betas": (0.9, 0.99)}), r"betas \(0.9, 0.95\) and \(0.9, 0.99\)"),
        (({}, {"weight_decay": 0.2}, {}), "weight_decay 0.1 and 0.2"),
        (({}, {"weight_decay": 0.0}, {}), "decays 2 parameters that no weight_decay_on names"),
    ],
)
def test_groups_that_differ_in_what_a_bundle_holds_once_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        describe_groups(groups_of(*changes), SHAPES, "optimizer")


def test_groups_may_differ_in_rate_and_eps():
    changes = ({"lr": 0.01, "initial_lr": 0.2}, {"eps": 1e-6}, {"weight_decay": 0.0})
    described = describe_groups(groups_of(*changes), SHAPES, "optimizer")
    assert described.training["learning_rate"] == 0.2
    assert described.training["weight_decay_on"] == "linear"
    assert described.own == {
        "a.weight": {"eps": 1e-8, "initial_lr": 0.2},
        "b.weight": {"eps": 1e-6, "initial_lr": 0.1},
        "c": {"eps": 1e-8, "initial_lr": 0.1},
    }


def test_another_value_than_the_optimizer_has_is_refused_except_the_rate():
    described = describe_groups(groups_of({}, {}, {}), SHAPES, "optimizer")
    given = {"learning_rate": 0.5, "beta1": 0.9, "max_iters": 7}
    merged = merge_described(described, given, "optimizer")
    assert (merged["learning_rate"], merged["max_iters"], merged["beta2"]) == (0.5, 7, 0.95)
    with pytest.raises(ConfigError) as refused:
        merge_described(described, {"beta1": 0.8, "weight_decay_on": "linear"}, "optimizer")
    assert [str(problem) for problem in refused.value.problems] == [
        "beta1: is 0.8, but the optimizer has 0.9; leave it out",
        "weight_decay_on: is linear, but the optimizer has all; leave it out",
    ]
