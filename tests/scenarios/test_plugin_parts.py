"""Parts of installed plugins in whole runs: compiled, recomputed, and in several processes."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import mypt
from tests.support.processes.ranks import ranks

FLAGS = (
    *("--input_file", "input.txt", "--tokenization", "char", "--device", "cpu", "--max_iters", "8"),
    *("--block_size", "16", "--n_embd", "32", "--n_head", "4", "--n_layer", "2", "--dropout", "0"),
    *("--batch_size", "4", "--eval_interval", "4", "--eval_iters", "2", "--learning_rate", "3e-3"),
)
PARTS = {
    "mypt_alibi": {"pos_encoding": "alibi"},
    "mypt_nanochat": {
        **dict.fromkeys(("embedding_type", "stack_type", "head_type"), "nanochat"),
        "pos_encoding": "rope",
        "qk_norm": "head",
        "norm_type": "rmsnorm",
        "norm_weight": False,
        "mlp_bias": False,
        "embedding_norm": True,
        "head_bias": False,
        "logit_soft_cap": 15,
        "n_kv_head": 2,
        "sliding_window": 5,
        "window_pattern": "SF",
    },
}
HOWS = {"compiled": ("--compile",), "recomputed": ("--activation_checkpointing",)}

pytestmark = pytest.mark.slow


@pytest.fixture(params=PARTS)
def folder(request, in_tmp, text):
    """A text and a preset with the part of one package."""
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    (in_tmp / "input.txt").write_text(text)
    (in_tmp / "preset.json").write_text(json.dumps(PARTS[request.param]))
    return in_tmp


def train(name, *flags, size=1):
    """Train as a user does, in `size` processes as torchrun starts them; give the losses."""
    command = [sys.executable, "-m", "mypt", "train", "--model_name", name, *FLAGS]
    processes = [
        subprocess.Popen(
            [*command, "--config_file", "preset.json", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | (variables if size > 1 else {}),
        )
        for variables in ranks(size)
    ]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * size, said
    log = Path(f"logs/train/{name}_eval.jsonl").read_text()
    events = [json.loads(line) for line in log.splitlines()]
    return [(e["iter"], e["val_loss"]) for e in events if e["event"] == "eval"]


def test_a_part_of_a_plugin_trains_to_the_same_losses_in_every_way(folder):
    plain = train("plain")
    ways = {how: train(how, *flags) for how, flags in HOWS.items()}
    ways["two processes"] = train("two", size=2)
    ways["sharded"] = train("sharded", "--shard", size=2)
    for how, losses in ways.items():
        for alone, other in zip(plain, losses, strict=True):
            assert other == pytest.approx(alone, abs=1e-4), how
    for name in ("plain", "compiled", "sharded"):
        assert mypt.load(name).generate("the", 4, seed=1).startswith("the")
