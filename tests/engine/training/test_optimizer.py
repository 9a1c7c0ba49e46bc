import subprocess
import sys

import pytest
import torch

import mypt
from mypt.engine.training.optimizer import (
    check_optimizer,
    largest_peak,
    lend_groups,
    make_optimizer,
    optimizer_state,
    restore_optimizer,
    set_peaks,
    shapes_of,
)
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError
from mypt.model.torch_private import AdamW

SHAPE = {"block_size": 8, "vocab_size": 50, "n_embd": 16, "n_head": 2, "n_layer": 1, "dropout": 0.0}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return mypt.GPT(mypt.GPTConfig(**SHAPE))


def parameters_after(model, optimizer, updates):
    """Update on random tokens; give the parameters, and the state of the optimizer."""
    chance = torch.Generator().manual_seed(1)
    for _ in range(updates):
        optimizer.zero_grad()
        x, y = torch.randint(50, (2, 2, 8), generator=chance)
        model.loss(x, y).backward()
        optimizer.step()
    return [*model.parameters()], optimizer.state_dict()["state"]


def test_the_updates_are_those_of_torch(model):
    other, training = mypt.GPT(model.config), TrainingConfig(max_iters=1, learning_rate=0.01)
    other.load_state_dict(model.state_dict())
    of_torch = torch.optim.AdamW(make_optimizer(other, training).param_groups)
    first = parameters_after(model, make_optimizer(model, training), 3)
    second = parameters_after(other, of_torch, 3)
    assert all(torch.equal(a, b) for a, b in zip(first[0], second[0], strict=True))
    assert first[1].keys() == second[1].keys()
    for index, moments in first[1].items():
        assert all(torch.equal(value, second[1][index][name]) for name, value in moments.items())


def test_to_train_loads_no_compiler(in_tmp, text):
    """Which takes longer to import than torch itself; nor what only several processes need."""
    (in_tmp / "input.txt").write_text(text)
    flags = ["train", "--model_name", "cat", "--input_file", "input.txt", "--n_layer", "1"]
    flags += ["--n_embd", "16", "--n_head", "2", "--block_size", "8", "--eval_iters", "1"]
    program = (
        "import sys\n"
        "from mypt.cli.main import mypt_group, run\n"
        "for steps in ('2', '4'):\n"  # a new run, and one that goes on
        f"    assert run(mypt_group, 'mypt', [*{flags!r}, '--max_iters', steps]) == 0\n"
        "heavy = {'torch._dynamo', 'torch.distributed.fsdp', 'torch.distributed.tensor', 'sympy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_largest_rate_is_that_of_the_run_and_the_others_keep_their_ratio(model):
    first, *rest = model.parameters()
    groups = [{"params": [first], "lr": 0.1}, {"params": rest, "lr": 0.02, "initial_lr": 0.4}]
    optimizer = torch.optim.AdamW([*groups, {"params": []}], lr=9.0)
    assert largest_peak(optimizer) == 0.4
    set_peaks(optimizer, 0.4)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.4, 0.4]
    set_peaks(optimizer, 0.2)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.05, 0.2, 0.2]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.02, 9.0]


def test_rates_of_zero_are_all_the_same(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    set_peaks(optimizer, 0.3)
    assert optimizer.param_groups[0]["initial_lr"] == 0.3


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
        (torch.optim.RMSprop, "is RMSprop"),
        (torch.optim.Adam, "is Adam, but mypt trains and resumes with AdamW alone"),
        (torch.optim.SGD, "is SGD"),
        (Doubled, "is Doubled"),
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


def test_groups_that_are_lent_come_back_as_they_were(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    own = optimizer.param_groups
    made = make_optimizer(model, TrainingConfig(learning_rate=0.5)).param_groups
    with lend_groups(optimizer, made):
        optimizer.param_groups[0]["lr"] = 0.1
    assert optimizer.param_groups is own
    assert own[0]["lr"] == 0.5


def test_a_state_goes_on_with_what_only_its_groups_hold(model):
    rates = {"ln_f.bias": {"eps": 1e-5, "initial_lr": 0.1}}
    rates |= {
        name: {"eps": 1e-5, "initial_lr": 0.2} for name in shapes_of(model) if name[-1] != "s"
    }
    training = TrainingConfig(learning_rate=0.2)
    optimizer = make_optimizer(model, training, rates)
    set_peaks(optimizer, 0.2)
    parameters_after(model, optimizer, 1)
    saved = optimizer_state(optimizer)
    for rule in ("linear", "matrices", "all"):
        now = TrainingConfig(learning_rate=0.2, weight_decay_on=rule)
        again = restore_optimizer(model, now, saved, "linear")
        assert {group["eps"] for group in again.param_groups if group["params"]} == {1e-5, 1e-8}
        for group in again.param_groups:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                wanted = rates.get(name, {"eps": 1e-8})
                assert {key: group[key] for key in wanted} == wanted
                moments = optimizer.state[parameter]["exp_avg"]
                assert torch.equal(again.state[parameter]["exp_avg"], moments)


def test_one_rate_for_all_is_saved_as_two_groups_without_a_peak(model):
    optimizer = make_optimizer(model, TrainingConfig())
    set_peaks(optimizer, 3e-4)
    groups = optimizer_state(optimizer)["param_groups"]
    assert [[*group] for group in groups] == [
        ["lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "params"]
    ] * 2
