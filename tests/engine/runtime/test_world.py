import random

import pytest
import torch.distributed as dist

from mypt.engine.runtime.world import ProcessError, World, join_world
from mypt.format.errors import ConfigError
from tests.support.processes.ranks import ranks


def test_the_parts_of_all_processes_are_the_batch():
    chance = random.Random(1)
    for _ in range(200):
        size = chance.randint(1, 9)
        rows = list(range(chance.randint(size, 40)))
        parts = [rows[World(rank, size).rows(len(rows))] for rank in range(size)]
        assert [row for part in parts for row in part] == rows
        assert all(parts)


def test_fewer_rows_than_processes_are_refused():
    with pytest.raises(ConfigError, match="is 3, but 4 processes share each batch"):
        World(0, 4).rows(3)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:1234"), True),
        (RuntimeError("[gloo] writev [127.0.0.1]:1234: Broken pipe"), True),
        (RuntimeError("[gloo] Socket closed [127.0.0.1]:1234"), True),
        (RuntimeError("Timed out waiting 1800000ms for recv operation to complete"), True),
        (dist.DistNetworkError("The client socket has failed to connect"), True),
        (dist.DistBackendError("NCCL communicator was aborted on rank 1"), True),
        (dist.DistBackendError("Duplicate GPU detected : rank 0 and rank 1"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_a_lost_process_is_told_from_faults_of_this_one(monkeypatch, error, lost):
    for name, value in ranks(1)[0].items():
        monkeypatch.setenv(name, value)
    try:
        with pytest.raises(ProcessError if lost else type(error)), join_world():
            raise error
    finally:
        dist.destroy_process_group()
