import subprocess
import sys

import pytest
import torch

import mypt
from mypt.engine.training.optimizer import make_optimizer
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
