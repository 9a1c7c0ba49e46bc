"""What the system says is left, on real and on made up machines."""

import math
import resource
import sys
from pathlib import Path

import pytest
import torch

from mypt.engine.runtime.free_memory import free_gpu_memory, free_memory
from tests.support.processes.child import Child

KB, GB = 1024, 1_000_000_000
UNLIMITED = "9223372036854771712"  # as groups of version 1 say it
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="it reads what Linux says")


@pytest.fixture
def machine(tmp_path):
    """Give what writes the files of a machine with 8,000 KB of memory and 500 KB of swap."""

    def call(**files):
        places = {
            "proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\nSwapFree: 500 kB\n",
            **files,
        }
        for name, text in places.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return call


def group(folder, limit, usage, stat="", **more):
    """Give the files of a control group, of version 2 unless its folder is of version 1."""
    names = (
        ("limit_in_bytes", "usage_in_bytes") if "cgroup/memory" in folder else ("max", "current")
    )
    files = dict(zip(names, (limit, usage), strict=True), stat=stat, **more)
    return {f"{folder}/memory.{name}": str(text) for name, text in files.items()}


def test_swap_counts(machine):
    assert free_memory(root=machine()) == 8500 * KB


def test_what_others_are_about_to_take_does_not(machine):
    assert free_memory(root=machine(), of_others=500 * KB) == 8000 * KB


@pytest.mark.parametrize(
    ("cgroup", "groups", "free"),
    [
        ("0::/", {}, 8500 * KB),
        ("0::/a/b", group("sys/fs/cgroup/a/b", 3000, 1000), 2000),
        ("0::/a/b", group("sys/fs/cgroup/a", 3000, 1000), 2000),
        ("0::/a/b", group("sys/fs/cgroup", 3000, 1000), 2000),  # a container's own, at the top
        ("0::/a", group("sys/fs/cgroup/a", "max", 1000), 8500 * KB),
        (
            "0::/a",
            group("sys/fs/cgroup/a", 3000, 1000, "anon 7\ninactive_file 300\nactive_file 40\n"),
            2340,
        ),
        (
            "0::/a",
            group("sys/fs/cgroup/a", 3000, 1000, **{"swap.max": 99, "swap.current": 9}),
            2090,
        ),
        ("0::/a", group("sys/fs/cgroup/a", 3000, 1000, **{"swap.max": "max"}), 2000 + 500 * KB),
        ("3:cpu:/x\n2:memory:/a", group("sys/fs/cgroup/memory/a", UNLIMITED, 1000), 8500 * KB),
        (
            "2:hugetlb,memory:/a",
            group("sys/fs/cgroup/memory", 3000, 1000, "inactive_file 9\ntotal_inactive_file 30\n"),
            2030,
        ),
    ],
)
def test_the_tightest_control_group_counts(machine, cgroup, groups, free):
    swap = {} if "swap.max" in " ".join(groups) else {"swap.max": 0, "swap.current": 0}
    for place in {name.rpartition("/")[0] for name in groups}:
        groups = {**groups, **{f"{place}/memory.{name}": str(n) for name, n in swap.items()}}
    assert free_memory(root=machine(**{"proc/self/cgroup": cgroup, **groups})) == free


def test_a_machine_that_says_nothing_has_what_there_is(tmp_path):
    assert free_memory(root=tmp_path) > 0


@on_linux
def test_this_machine_has_some():
    assert 1_000_000 < free_memory() < math.inf


@on_linux
def test_a_limit_of_address_space_counts():
    def work():
        limit = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (64 * GB, limit))
        before = free_memory()
        pages = Path("/proc/self/statm").read_text().split()[0]
        used = int(pages) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, limit))
        after = free_memory()
        block = torch.empty(100_000_000, dtype=torch.uint8)
        return f"{before > after > free_memory() + block.nbytes - 1_000_000} {after < 210_000_000}"

    assert Child(work).wait() == "True True"


def test_what_torch_keeps_of_a_gpu_and_does_not_use_is_free(monkeypatch):
    device = torch.device("cuda", 1)
    for name, answer in {
        "mem_get_info": (3 * GB, 80 * GB),
        "memory_reserved": 7 * GB,
        "memory_allocated": 5 * GB,
    }.items():
        monkeypatch.setattr(torch.cuda, name, {device: answer}.__getitem__)
    assert free_gpu_memory(device) == 5 * GB
