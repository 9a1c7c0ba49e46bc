"""A run that is killed and started again ends in the bytes of the run that never was."""

import json
import signal

import pytest

from tests.support.processes.command import Command

FLAGS = (
    *("--input_file", "input.txt", "--tokenization", "char", "--device", "cpu"),
    *("--block_size", "16", "--n_embd", "32", "--n_head", "2", "--n_layer", "2"),
    *("--batch_size", "4", "--dropout", "0.2", "--grad_accum_steps", "2"),
    *("--max_iters", "240", "--eval_interval", "20", "--eval_iters", "1"),
)


def run_until(name, number, step):
    """Start a run and send it a signal once it has told of `step`; gives its exit code."""
    command = Command("train", "--model_name", name, *FLAGS)
    for line in command.said:
        if line.startswith(f"step {step}/"):
            command.send(number)
            break
    command.wait()
    return command.code


def digests(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    return {name: files[name]["sha256"] for name in ("model.pt", "optimizer.pt")}


def evaluations(path):
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        (event["iter"], event["train_loss"], event["val_loss"])
        for event in events
        if event["event"] == "eval"
    ]


@pytest.fixture
def folder(in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    return in_tmp


def test_a_run_that_was_killed_terminated_and_killed_again_ends_in_the_same_bytes(folder):
    assert run_until("whole", signal.SIGCONT, 0) == 0
    assert run_until("broken", signal.SIGKILL, 40) == -signal.SIGKILL
    assert run_until("broken", signal.SIGTERM, 100) == 1
    assert run_until("broken", signal.SIGKILL, 180) == -signal.SIGKILL
    assert run_until("broken", signal.SIGCONT, 220) == 0
    checkpoints, logs = folder / "checkpoints", folder / "logs" / "train"
    assert digests(checkpoints / "broken") == digests(checkpoints / "whole")
    assert digests(checkpoints / "broken_gold") == digests(checkpoints / "whole_gold")
    state = json.loads((checkpoints / "broken" / "training_state.json").read_text())
    assert state["exact"]
    assert evaluations(logs / "broken_eval.jsonl") == evaluations(logs / "whole_eval.jsonl")
