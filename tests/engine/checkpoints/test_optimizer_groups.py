"""State dicts of optimizers that somebody else made, in the order and the terms of the format."""

import pytest
import torch

import mypt
from mypt.engine.checkpoints.optimizer_groups import (
    arrange_state,
    describe_groups,
    merge_described,
)
from mypt.engine.training.optimizer import make_optimizer, shapes_of
from mypt.format.errors import ConfigError
from mypt.format.parameter_order import split_by_decay

SHAPE = {"block_size": 8, "vocab_size": 40, "n_embd": 16, "n_head": 2, "n_layer": 1, "dropout": 0.0}


@pytest.fixture(scope="module")
def model():
    return mypt.GPT(mypt.GPTConfig(**SHAPE))


def stepped(model, make=torch.optim.AdamW, params=None, **options):
    """Give an optimizer after one update."""
    optimizer = make(model.parameters() if params is None else params, **options)
    optimizer.zero_grad()
    ids = torch.arange(16).view(2, 8)
    model.loss(ids, ids).backward()
    optimizer.step()
    return optimizer


def by_name(model, optimizer):
    return {name: optimizer.state[p]["exp_avg"] for name, p in model.named_parameters()}


def arranged(model, optimizer, rule=None):
    return arrange_state(optimizer.state_dict(), shapes_of(model), rule)


def check_moments(model, optimizer, document, rule):
    halves, moments = split_by_decay(shapes_of(model), rule), by_name(model, optimizer)
    for index, name in enumerate([*halves[0], *halves[1]]):
        assert torch.equal(document["state"][index]["exp_avg"], moments[name])


def halves_of(model, rule):
    named = dict(model.named_parameters())
    return [[named[name] for name in half] for half in split_by_decay(shapes_of(model), rule)]


def test_one_group_decays_everything(model):
    optimizer = stepped(model, lr=0.02, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.3)
    document, described = arranged(model, optimizer)
    assert described.training == {
        "learning_rate": 0.02,
        "beta1": 0.8,
        "beta2": 0.9,
        "weight_decay": 0.3,
        "weight_decay_on": "all",
    }
    assert {group["eps"] for group in document["param_groups"] if group["params"]} == {1e-6}
    check_moments(model, optimizer, document, "all")


def test_one_group_without_decay_follows_any_rule(model):
    optimizer = stepped(model, weight_decay=0.0)
    for asked, rule in ((None, "linear"), ("matrices", "matrices")):
        document, described = arranged(model, optimizer, asked)
        assert (described.training["weight_decay"], described.training["weight_decay_on"]) == (
            0.0,
            rule,
        )
        check_moments(model, optimizer, document, rule)


@pytest.mark.parametrize("rule", ["linear", "matrices"])
def test_two_groups_are_told_by_their_sizes(model, rule):
    decayed, rest = halves_of(model, rule)
    params = [{"params": decayed, "weight_decay": 0.2}, {"params": rest, "weight_decay": 0.0}]
    optimizer = stepped(model, params=params)
    document, described = arranged(model, optimizer)
    assert described.training["weight_decay_on"] == rule
    check_moments(model, optimizer, document, rule)


def test_names_tell_parameters_in_any_order(model):
    named = [*model.named_parameters()][::-1]
    params = [{"params": named[:3], "lr": 0.01}, {"params": named[3:], "lr": 0.001}]
    optimizer = stepped(model, params=params)
    document, described = arranged(model, optimizer)
    assert described.training["learning_rate"] == 0.01
    check_moments(model, optimizer, document, "all")
    rates = {
        name: group["initial_lr"]
        for group in document["param_groups"]
        for name in [[*shapes_of(model)][index] for index in group["params"]]
    }
    assert {name for name, rate in rates.items() if rate == 0.01} == {name for name, _ in named[:3]}
    assert {*rates.values()} == {0.01, 0.001}


def test_the_state_of_an_optimizer_of_mypt_comes_back(model):
    training = mypt.TrainingConfig(weight_decay_on="matrices", beta2=0.9)
    optimizer = make_optimizer(model, training, {"ln_f.bias": {"initial_lr": 0.1}})
    document, described = arranged(model, optimizer)
    assert document["state"] == {}
    assert described.own["ln_f.bias"]["initial_lr"] == 0.1
    assert described.own["ln_f.weight"]["initial_lr"] == training.learning_rate
    assert described.training["weight_decay_on"] == "matrices"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda m: stepped(m, torch.optim.RMSprop), "of another optimizer than AdamW"),
        (lambda m: stepped(m, torch.optim.SGD, lr=0.1), "of another optimizer than AdamW"),
        (lambda m: stepped(m, torch.optim.Adam), "is of Adam"),
        (lambda m: stepped(m, amsgrad=True), "amsgrad"),
        (lambda m: stepped(m, maximize=True), "mypt minimizes the loss"),
        (lambda m: stepped(m, params=m.blocks.parameters()), r"of which nothing says"),
        (lambda m: stepped(m, params=[*m.parameters()][::-1]), "has shape"),
        (
            lambda m: stepped(m, params=[*m.named_parameters()][:-1]),
            r"holds \d+ of the model's \d+ parameters, not lm_head.bias",
        ),
        (
            lambda m: stepped(m, params=[(f"m.{n}", p) for n, p in m.named_parameters()]),
            "holds m.token_embedding_table.weight, which is no parameter",
        ),
    ],
)
def test_what_no_resume_could_go_on_with_is_refused(model, make, said):
    with pytest.raises(ConfigError, match=f"^optimizer_state.*{said}.*; (make it|pass them)"):
        arranged(model, make(model))


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
