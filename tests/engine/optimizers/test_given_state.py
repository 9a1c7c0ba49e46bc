"""State dicts of optimizers that somebody else made, in the order and the terms of the format."""

import pytest
import torch

import mypt
from mypt.engine.optimizers.adamw import build_adamw
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.optimizers.given_state import arrange_state
from mypt.engine.optimizers.tracked import TrackedOptimizer, parameters_of
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, PluginError
from mypt.format.optimizers.indices import number_parameters
from mypt.format.optimizers.parameter_rules import split_by_decay
from mypt.testing import registered
from tests.support import optimizer_plugin

SHAPE = {"block_size": 8, "vocab_size": 40, "n_embd": 16, "n_head": 2, "n_layer": 1, "dropout": 0.0}


@pytest.fixture(scope="module")
def model():
    return mypt.GPT(mypt.GPTConfig(**SHAPE), plugins=registered(optimizer_plugin))


def shapes_of(model):
    return {name: parameter.shape for name, parameter in parameters_of(model).items()}


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
    given = {} if rule is None else {"weight_decay_on": rule}
    return arrange_state(optimizer.state_dict(), model, given, TrainingConfig())


def check_moments(model, optimizer, document, rule):
    moments = by_name(model, optimizer)
    assert document["state"].keys() == moments.keys()
    for name, moment in moments.items():
        assert torch.equal(document["state"][name]["exp_avg"], moment)
    decayed = {
        name
        for group in document["param_groups"]
        if group["weight_decay"]
        for name in group["params"]
    }
    assert decayed in ({*split_by_decay(shapes_of(model), rule)[0]}, set())


def halves_of(model, rule):
    named = dict(model.named_parameters())
    return [[named[name] for name in half] for half in split_by_decay(shapes_of(model), rule)]


def test_one_group_decays_everything(model):
    optimizer = stepped(model, lr=0.02, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.3)
    document, described = arranged(model, optimizer)
    assert described.training == {
        "optimizer": "adamw",
        "optimizer_options": {},
        "learning_rate": 0.02,
        "beta1": 0.8,
        "beta2": 0.9,
        "weight_decay": 0.3,
        "weight_decay_on": "all",
    }
    assert {group["eps"] for group in document["param_groups"]} == {1e-6}
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
        name: group["initial_lr"] for group in document["param_groups"] for name in group["params"]
    }
    assert {name for name, rate in rates.items() if rate == 0.01} == {name for name, _ in named[:3]}
    assert {*rates.values()} == {0.01, 0.001}


def test_the_state_of_an_optimizer_of_mypt_comes_back(model):
    training = mypt.TrainingConfig(weight_decay_on="matrices", beta2=0.9)
    named = dict(model.named_parameters())
    optimizer = build_adamw(named, training, {"ln_f.bias": {"initial_lr": 0.1}})
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
            r"holds \d+ of the model's \d+ parameters, not lm_head.weight",
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


def test_what_mypt_has_read_is_taken_by_names_and_by_index(model):
    optimizer = stepped(model, params=[*model.named_parameters()], weight_decay=0.3)
    document, described = arranged(model, optimizer)
    indexed = number_parameters(document, shapes_of(model))
    given = {"weight_decay_on": "linear"}
    for state, rule in ((document, "all"), (indexed, "all")):
        again, said = arrange_state(state, model, given, TrainingConfig())
        assert said.training["weight_decay_on"] == rule
        assert again.keys() == document.keys()
        for name, entry in document["state"].items():
            assert all(torch.equal(again["state"][name][key], entry[key]) for key in entry)
    assert described.training["weight_decay"] == 0.3


def of_plugin(model, name, **options):
    training = TrainingConfig(optimizer=name, optimizer_options=options, weight_decay=0.0)
    optimizer = make_optimizer(model, training)
    ids = torch.arange(16).view(2, 8)
    optimizer.zero_grad()
    model.loss(ids, ids).backward()
    optimizer.step()
    return optimizer, {"optimizer": name, "optimizer_options": options, "weight_decay": 0.0}


@pytest.mark.parametrize("name", ["acme_momentum", "acme_mixed"])
def test_the_state_of_a_plugins_optimizer_is_taken_as_that_which_is_named(model, name):
    optimizer, given = of_plugin(model, name)
    expected = TrackedOptimizer(optimizer, model, name).collect()
    for state in (optimizer.state_dict(), expected):
        document, described = arrange_state(state, model, given, TrainingConfig())
        assert described.training["optimizer"] == name
        assert described.training["learning_rate"] == 3e-4
        assert document["param_groups"] == expected["param_groups"]
        assert document["state"].keys() == expected["state"].keys()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"optimizer": "acme_mixed"},
            "has decay none for token_.*, not 0.8 by the optimizer acme_mixed",
        ),
        ({"optimizer": "adamw", "optimizer_options": {}}, "is of another optimizer than AdamW"),
        ({"optimizer_options": {"momentum": 0.5}}, "has momentum 0.9 for token_emb.*, not 0.5 by"),
        ({"learning_rate": 0.5}, r"has lr 0.0003 for token_.*, not 0.5"),
    ],
)
def test_the_state_of_another_optimizer_than_is_named_is_refused(model, change, said):
    optimizer, given = of_plugin(model, "acme_momentum")
    state = optimizer.state_dict()
    with pytest.raises(ConfigError, match=f"^optimizer_state.*{said}"):
        arrange_state(state, model, {**given, **change}, TrainingConfig())
    with pytest.raises(PluginError, match="no plugin offers the optimizer `unheard_of`"):
        arrange_state(state, model, {**given, "optimizer": "unheard_of"}, TrainingConfig())
    with pytest.raises(ConfigError, match="is not the `state_dict"):
        arrange_state({}, model, given, TrainingConfig())
