import os
import random
import signal
import socket
import time
from datetime import timedelta
from functools import partial

import pytest
import torch.distributed as dist

from mypt.engine.runtime import world as world_module
from mypt.engine.runtime.world import CommonError, ProcessError, World, join_world
from mypt.format.errors import ConfigError, MyptError, Problem
from tests.support.processes.child import Child
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


def together(*works):
    """Have each process of a world do its own work with it; return what each said of its end."""

    def joined(work, variables):
        os.environ.update(variables)
        try:
            with join_world() as world:
                return work(world)
        except (MyptError, OSError) as error:
            return f"{type(error).__name__}: {error}"
        except SystemExit as end:
            return f"exit {end.code}"

    started = [
        Child(partial(joined, work, variables))
        for work, variables in zip(works, ranks(len(works)), strict=True)
    ]
    return [child.wait() for child in started]


def passing(world):
    with world.stage("a"):
        pass
    return "passed"


def failing(world):
    with world.stage("a"):
        raise OSError(5, "no such disk")


def test_a_stage_is_passed_by_all_or_by_none():
    assert together(passing, passing, passing) == ["passed"] * 3


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_fails_in_one_process_is_heard_by_all(place):
    works = [passing] * 3
    works[place] = failing
    said = together(*works)
    own = said.pop(place)
    assert own == "OSError: [Errno 5] no such disk"
    host = socket.gethostname()
    told = f"process {place} on {host} stopped: OSError: [Errno 5] no such disk; fix that, and"
    assert all(line.startswith(f"ProcessError: {told}") for line in said)


@pytest.mark.parametrize("place", [0, 1])
def test_a_process_that_is_killed_in_a_stage_ends_the_others(place):
    def killed(world):
        with world.stage("joined"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    def waiting(world):
        with world.stage("joined"):
            pass
        return passing(world)

    works = [waiting, waiting]
    works[place] = killed
    said = together(*works)
    assert said[place] is None
    assert said[1 - place].startswith("ProcessError: another process of this run has ended")


def test_whoever_comes_after_the_failed_one_has_left_is_not_left_waiting():
    def late(world):
        time.sleep(1)
        return passing(world)

    def failing_at_once(world):
        world_module._LINGER_S = 0.1
        return failing(world)

    own, other = together(failing_at_once, late)
    assert own == "OSError: [Errno 5] no such disk"
    assert other.startswith("ProcessError: ")


def test_who_cannot_join_the_others_says_so(monkeypatch):
    monkeypatch.setattr(world_module, "PATIENCE", timedelta(seconds=1))
    for name, value in ranks(2)[1].items():  # where the first process never begins
        monkeypatch.setenv(name, value)
    with pytest.raises(ProcessError, match="cannot reach the other processes"), join_world():
        pass


def test_all_hear_what_each_says():
    def saying(world):
        return ",".join(world.exchange("names", f"I am {world.rank}"))

    assert together(saying, saying, saying) == ["I am 0,I am 1,I am 2"] * 3
    assert World().exchange("names", "alone") == ["alone"]


def test_what_fails_in_all_alike_ends_none_before_the_slowest_has_come_so_far():
    def failing_alike(world):
        if not world.is_main:
            check = World._check_failure
            World._check_failure = lambda *given: (time.sleep(1), check(*given))
        passing(world)
        with world.stage("b"):
            raise CommonError(Problem("", "--input_file", "is no file for two", "name one"))

    said = together(failing_alike, failing_alike)
    assert said == ["CommonError: --input_file: is no file for two; name one", "exit 2"]
