"""Train one model by Ray, on as many machines as the cluster has.

Each worker of Ray Train is one process of mypt, which finds the others as it does under torchrun.
The working folder must be on a disk that all machines share, and hold the text; each machine needs
mypt. Where a machine is lost, Ray starts all processes again, and the same command goes on from
what was saved last.

    python ray_train.py --workers 16 -- --model_name dante --input_file input.txt \
        --config_file modern/150M --max_iters 20000 --save_minutes 10
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import ray.train
from ray.train.collective import broadcast_from_rank_zero
from ray.train.torch import TorchConfig, TorchTrainer


def find_address() -> tuple[str, int]:
    """Return an address of this machine, and a port that is free."""
    with socket.socket() as found:
        found.bind(("", 0))
        return ray.util.get_node_ip_address(), found.getsockname()[1]


def train(config: dict[str, Any]) -> None:
    """Run one process of `mypt train` to its end."""
    context = ray.train.get_context()
    rank = context.get_world_rank()
    address, port = broadcast_from_rank_zero(find_address() if rank == 0 else None)
    variables = {
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "RANK": rank,
        "WORLD_SIZE": context.get_world_size(),
        "LOCAL_RANK": context.get_local_rank(),
        "LOCAL_WORLD_SIZE": context.get_local_world_size(),
        "TORCHELASTIC_RUN_ID": context.get_experiment_name(),  # says that there are others
        "TORCHELASTIC_USE_AGENT_STORE": "False",  # the first process has the store, not Ray
    }
    command = [sys.executable, "-m", "mypt", "train", *config["arguments"]]
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    with subprocess.Popen(command, cwd=config["folder"], env=environment) as process:
        try:
            code = process.wait()
        finally:
            process.terminate()  # has it save, where Ray ends this worker
    if code:
        message = f"mypt train ended with {code}; what it said is above"
        raise RuntimeError(message)


def main() -> None:
    """Start the workers, and wait for them."""
    parser = argparse.ArgumentParser(description="Train one model of mypt by Ray.")
    parser.add_argument("--workers", type=int, default=1, help="processes, one for each GPU")
    parser.add_argument("--cpu", action="store_true", help="train without GPUs")
    parser.add_argument("--restarts", type=int, default=3, help="how often to start again")
    parser.add_argument("arguments", nargs="+", help="those of `mypt train`, after --")
    given = parser.parse_args()
    TorchTrainer(
        train,
        train_loop_config={"arguments": given.arguments, "folder": str(Path.cwd())},
        torch_config=TorchConfig(backend="gloo"),  # of Ray's own group; mypt makes its own
        scaling_config=ray.train.ScalingConfig(num_workers=given.workers, use_gpu=not given.cpu),
        run_config=ray.train.RunConfig(
            storage_path=str(Path.cwd() / "ray"),
            failure_config=ray.train.FailureConfig(max_failures=given.restarts),
        ),
    ).fit()


if __name__ == "__main__":
    main()
