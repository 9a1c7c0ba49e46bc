import subprocess
import sys

import pytest
import torch
from attrs import evolve

import mypt
from mypt.engine.optimizers.adamw import build_adamw
from mypt.engine.optimizers.build import continue_optimizer, lend_groups, make_optimizer
from mypt.engine.optimizers.peaks import scale_peaks
from mypt.engine.optimizers.tracked import TrackedOptimizer
from mypt.format.documents.training import TrainingConfig

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
    named = dict(model.named_parameters())
    rates |= {name: {"eps": 1e-5, "initial_lr": 0.2} for name in named if name[-1] != "s"}
    training = TrainingConfig(learning_rate=0.2)
    optimizer = build_adamw(named, training, rates)
    scale_peaks(optimizer, 0.2)
    parameters_after(model, optimizer, 1)
    saved = TrackedOptimizer(optimizer, model, "adamw").collect()
    for rule in ("linear", "matrices", "all"):
        now = TrainingConfig(learning_rate=0.2, weight_decay_on=rule)
        again = continue_optimizer(model, now, saved)
        assert {group["eps"] for group in again.param_groups if group["params"]} == {1e-5, 1e-8}
        for group in again.param_groups:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                wanted = rates.get(name, {"eps": 1e-8})
                assert {key: group[key] for key in wanted} == wanted
                moments = optimizer.state[parameter]["exp_avg"]
                assert torch.equal(again.state[parameter]["exp_avg"], moments)


def test_one_rate_for_all_is_saved_as_two_groups_without_a_peak(model):
    optimizer = make_optimizer(model, TrainingConfig())
    scale_peaks(optimizer, 3e-4)
    groups = TrackedOptimizer(optimizer, model, "adamw").collect()["param_groups"]
    assert [[*group] for group in groups] == [["lr", "betas", "eps", "weight_decay", "params"]] * 2


def test_of_a_state_of_another_optimizer_what_fits_goes_on(model):
    training = TrainingConfig(optimizer="adamw", learning_rate=0.01)
    optimizer = make_optimizer(model, training)
    parameters_after(model, optimizer, 2)
    saved = TrackedOptimizer(optimizer, model, "adamw").collect()
    muon = evolve(training, optimizer="muon")
    continued = continue_optimizer(model, muon, saved)
    names = {parameter: name for name, parameter in model.named_parameters()}
    kept = {names[parameter]: entry for parameter, entry in continued.state.items()}
    matrices = {n for n, p in model.named_parameters() if p.dim() == 2 and n.startswith("blocks.")}
    assert len(matrices) == 4
    assert kept.keys() == set(names.values()) - matrices
    for name, entry in kept.items():
        assert all(torch.equal(entry[key], saved["state"][name][key]) for key in entry)
        assert entry.keys() == {"step", "exp_avg", "exp_avg_sq"}
    tracked = TrackedOptimizer(continued, model, "muon")
    assert tracked.count_fresh({*model.parameters()}) == (4, 15)
    parameters_after(model, continued, 1)
    back = continue_optimizer(model, training, tracked.collect())
    assert {names[parameter] for parameter in back.state} == set(names.values()) - matrices
    assert {int(entry["step"]) for entry in back.state.values()} == {3}
    for other in ("sgd", "adafactor"):
        assert not continue_optimizer(model, evolve(training, optimizer=other), saved).state


def test_what_begins_anew_where_a_part_of_an_entry_does_not_fit(model):
    training = TrainingConfig(optimizer="adamw")
    optimizer = make_optimizer(model, training)
    parameters_after(model, optimizer, 1)
    saved = TrackedOptimizer(optimizer, model, "adamw").collect()
    saved["optimizer"] = "mine"
    saved["state"]["ln_f.weight"]["more"] = torch.zeros(3)  # of no use to this one
    del saved["state"]["ln_f.bias"]["exp_avg"]
    saved["state"]["lm_head.weight"]["exp_avg"] = torch.zeros(2)
    state = continue_optimizer(model, training, saved).state
    assert model.ln_f.weight in state
    assert "more" not in state[model.ln_f.weight]
    assert not {model.ln_f.bias, model.lm_head.weight} & state.keys()


def test_without_a_state_nothing_is_gone_on_with(model):
    assert not continue_optimizer(model, TrainingConfig(), None).state


def test_steps_that_are_numbers_go_on_as_torch_keeps_them(model):
    """As old versions of torch saved them."""
    optimizer = make_optimizer(model, TrainingConfig())
    parameters_after(model, optimizer, 1)
    saved = TrackedOptimizer(optimizer, model, "adamw").collect()
    state = {name: {**entry, "step": 1} for name, entry in saved["state"].items()}
    again = continue_optimizer(model, TrainingConfig(), {**saved, "state": state})
    steps = {entry["step"] for entry in again.state.values()}
    assert {(step.item(), step.dtype) for step in steps} == {(1.0, torch.float32)}
