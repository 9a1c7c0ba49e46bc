"""What an optimizer keeps, by the names of parameters; and optimizers that keep no contract."""

from types import SimpleNamespace

import pytest
import torch
from attrs import evolve

import mypt
from mypt.engine.optimizers.build import continue_optimizer, make_optimizer
from mypt.engine.optimizers.tracked import TrackedOptimizer, parameters_of
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import PluginError
from mypt.format.optimizers.declaration import StateNumber, StateTensor
from mypt.plugins import OptimizerFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.testing.registration import register_beside
from tests.support.optimizer_plugin import MIXED, MOMENTUM

SHAPE = {"block_size": 8, "vocab_size": 50, "n_embd": 16, "n_head": 2, "n_layer": 1, "dropout": 0.0}


def model_with(factory):
    return mypt.GPT(mypt.GPTConfig(**SHAPE), plugins=register_beside(factory, "acme"))


def step(model, optimizer, updates=1, seed=1):
    chance = torch.Generator().manual_seed(seed)
    for _ in range(updates):
        optimizer.zero_grad()
        x, y = torch.randint(50, (2, 2, 8), generator=chance)
        model.loss(x, y).backward()
        optimizer.step()


def tracked(model, factory, **options):
    training = TrainingConfig(optimizer=factory.name, optimizer_options=options)
    optimizer = make_optimizer(model, training)
    return TrackedOptimizer(optimizer, model, factory.name), training


@pytest.mark.parametrize("factory", [MOMENTUM, MIXED])
def test_a_state_goes_on_bit_for_bit(factory):
    model = model_with(factory)
    before, training = tracked(model, factory)
    step(model, before.optimizer, 3)
    document = before.collect()
    copied = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = {
        name: {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in entry.items()}
        for name, entry in document["state"].items()
    }
    groups = [dict(group) for group in document["param_groups"]]
    step(model, before.optimizer, 2, seed=2)
    other = model_with(factory)
    other.load_state_dict(copied)
    again = continue_optimizer(
        other, training, {**document, "state": state, "param_groups": groups}
    )
    step(other, again, 2, seed=2)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, other.get_parameter(name)), name
    found = TrackedOptimizer(again, other, factory.name).collect()
    expected = before.collect()
    assert found["param_groups"] == expected["param_groups"]
    for name, entry in expected["state"].items():
        for key, value in entry.items():
            kept = found["state"][name][key]
            assert type(kept) is type(value)
            assert kept == value if isinstance(value, int) else torch.equal(kept, value)
            assert isinstance(value, int) or kept.dtype == value.dtype


def test_what_is_expected_is_what_will_be_kept():
    model = model_with(MIXED)
    kept, _ = tracked(model, MIXED)
    trained = {p for name, p in model.named_parameters() if not name.startswith("lm_head")}
    expected = kept.expect(trained)
    for parameter in model.lm_head.parameters():
        parameter.requires_grad_(False)
    step(model, kept.optimizer)
    held = {
        name: {key: (v.shape, v.dtype) for key, v in entry.items() if isinstance(v, torch.Tensor)}
        for name, entry in kept.collect()["state"].items()
    }
    assert held == {
        name: {key: (tensor.shape, tensor.dtype) for key, tensor in entry.items()}
        for name, entry in expected.items()
    }
    assert all(tensor.is_meta for entry in expected.values() for tensor in entry.values())


def test_a_group_has_its_name_its_settings_and_its_progress():
    model = model_with(MIXED)
    kept, _ = tracked(model, MIXED)
    step(model, kept.optimizer, 2)
    first, second = kept.collect()["param_groups"]
    assert {key: value for key, value in first.items() if key != "params"} == {
        "lr": 3e-4,
        "name": "factored",
        "decay": 0.8,
        "k": 2,
    }
    assert second["name"] == "signs"
    assert sorted(first["params"] + second["params"]) == sorted(parameters_of(model))


class Odd(torch.optim.SGD):
    """SGD that keeps what it should not, once it has made an update."""

    def __init__(self, parameters, change):
        super().__init__(parameters, lr=0.1)
        self.change = change

    def step(self, closure=None):
        super().step(closure)
        self.change(self)


def first_entry(optimizer):
    return optimizer.state[optimizer.param_groups[0]["params"][0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda o: first_entry(o).update(seen=[1]), "keeps `seen` of token_.*, a list: only tens"),
        (
            lambda o: first_entry(o).update(seen=None),
            "keeps `seen` of .*, a NoneType: only tensors",
        ),
        (lambda o: first_entry(o).update(seen=3), "what its `state` does not say: it has `seen`"),
        (lambda o: first_entry(o).update(m=torch.zeros(3)), r"m has shape \(3,\), not \(50, 16\)"),
        (lambda o: first_entry(o).update(m=torch.zeros(50, 16).int()), "m has dtype int32"),
        (lambda o: first_entry(o).update(c=torch.zeros(2)), "c is a tensor, not a number"),
        (
            lambda o: first_entry(o).update(s=2),
            "keeps `s` of .* as a number, and declares a tensor",
        ),
        (lambda o: o.state.update(all={"k": 1}), "keeps state that belongs to no parameter"),
        (
            lambda o: o.param_groups[0].update(momentum=0.5),
            "changed `momentum` of a group from 0 to 0.5, and its `progress` does not name it",
        ),
    ],
)
def test_an_optimizer_that_keeps_what_it_does_not_declare_is_refused(change, said):
    def state(parameter, group):
        m = StateTensor(parameter.shape)
        return {"m": m, "s": StateTensor(()), "c": StateNumber()}

    def fill(optimizer):
        for group in optimizer.param_groups:
            for p in group["params"]:
                optimizer.state[p] = {"m": torch.zeros_like(p), "s": torch.zeros(()), "c": 1}
        change(optimizer)

    factory = OptimizerFactory("odd", lambda parameters, _: Odd(parameters.values(), fill), state)
    model = model_with(factory)
    kept, _ = tracked(model, factory)
    kept.collect()
    step(model, kept.optimizer)
    with pytest.raises(PluginError, match=said) as refused:
        kept.collect()
    assert str(refused.value).startswith("the optimizer odd of the plugin checked of acme 0: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": ("beta",)}, "has a group without `beta`, which it declares"),
        ({"progress": ("k",)}, "has a group without `k`"),
        ({"progress": ("mode",)}, "has a group whose `mode`, its progress, is no finite number"),
        ({"settings": ("rate",)}, "has a group whose `rate` is a Tensor: only numbers, texts"),
    ],
)
def test_a_setting_that_is_not_there_or_cannot_be_saved_is_refused_before_training(changes, said):
    def build(parameters, training):
        groups = [{"params": [*parameters.values()], "rate": torch.zeros(()), "mode": "x"}]
        return torch.optim.SGD(groups, lr=0.1)

    factory = evolve(OptimizerFactory("odd", build), **changes)
    with pytest.raises(PluginError, match=said):
        tracked(model_with(factory), factory)


@pytest.mark.parametrize("count", [0, 3])
def test_an_optimizer_of_other_parameters_is_refused(count):
    def build(parameters, training):
        held = [*parameters.values()][: count or None]
        more = [] if count else [torch.nn.Parameter(torch.zeros(2))]
        return torch.optim.SGD([*held, *more], lr=0.1)

    factory = OptimizerFactory("odd", build)
    with pytest.raises(PluginError, match="parameters in its groups, and not each of the model's"):
        tracked(model_with(factory), factory)


def test_what_fails_or_is_no_optimizer_is_told_by_the_name_of_the_plugin():
    for build, said in (
        (lambda *_: 3, "it returns int, not Optimizer"),
        (lambda *_: 1 / 0, "ZeroDivisionError"),
    ):
        factory = OptimizerFactory("odd", build)
        plugins = mypt.load_plugins()
        offered = SimpleNamespace(mypt_optimizers=hookimpl(lambda factory=factory: [factory]))
        plugins.register(offered, PluginOrigin("odd", "acme-odd", "1.0"))
        model = mypt.GPT(mypt.GPTConfig(**SHAPE), plugins=plugins)
        with pytest.raises(PluginError, match=f"acme-odd 1.0.*optimizer `odd`: .*{said}"):
            make_optimizer(model, TrainingConfig(optimizer="odd"))


def test_what_would_be_kept_otherwise_now_begins_anew():
    model = model_with(MIXED)
    kept, training = tracked(model, MIXED)
    step(model, kept.optimizer)
    document = kept.collect()
    name = "lm_head.weight"
    document["state"][name] = {"momentum": torch.zeros(50, 16, dtype=torch.bfloat16)}
    again = continue_optimizer(model, training, document)
    assert model.lm_head.weight not in again.state
    assert model.ln_f.bias in again.state


def test_progress_goes_on_with_the_parameters_however_groups_are_cut():
    model = model_with(MIXED)
    kept, training = tracked(model, MIXED)
    step(model, kept.optimizer, 3)
    document = kept.collect()
    assert [g["k"] for g in continue_optimizer(model, training, document).param_groups] == [3, 3]
    first, second = document["param_groups"]
    first["params"].reverse()
    second["params"], rest = second["params"][:2], second["params"][2:]
    document["param_groups"].append({**second, "params": rest})
    assert [g["k"] for g in continue_optimizer(model, training, document).param_groups] == [3, 3]
    second["k"] = 5  # of which count should the others be?
    assert [g["k"] for g in continue_optimizer(model, training, document).param_groups] == [3, 0]
