"""How much memory this machine has left, as far as the system says."""

from __future__ import annotations

import mmap
import os
import sys
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

_ROOT = Path("/")
_RECLAIMABLE = ("inactive_file", "active_file", "total_inactive_file", "total_active_file")


def free_memory(*, of_others: int = 0, root: Path = _ROOT) -> float:
    """Return how many bytes this process can still take on the CPU; infinite if unknown.

    The least counts of what the machine has available, swap included, what the control groups of
    the process allow, and what its limit of address space (`ulimit -v`) leaves.

    Args:
        of_others: Bytes that other processes of the run are about to take on this machine.
        root: Where the file system of Linux begins; for tests.
    """
    on_machine = min(_available(root), *_left_by_groups(root), inf)
    return min(on_machine - of_others, _left_by_limit(root))


def free_gpu_memory(device: torch.device) -> float:
    """Return how many bytes this process can still take on a GPU.

    What torch has taken and does not use counts as free.
    """
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + unused


def _available(root: Path) -> float:
    """Return what the machine has available; all of its memory where it does not say."""
    fields = _read_fields(root / "proc/meminfo")
    if "MemAvailable:" in fields:
        return 1024 * (fields["MemAvailable:"] + fields.get("SwapFree:", 0))
    return _physical()


def _left_by_groups(root: Path) -> Iterator[float]:
    """Yield what each control group of this process, and each above it, still allows.

    A container sees its own group at the top, under whatever path `/proc/self/cgroup` names.
    """
    swap = 1024 * _read_fields(root / "proc/meminfo").get("SwapFree:", 0)
    for line in _read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, limit, usage = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        own = Path(path.lstrip("/"))
        for folder in (own, *own.parents):
            left = _difference(top / folder, limit, usage)
            if left < inf:
                stat = _read_fields(top / folder / "memory.stat")
                names = _RECLAIMABLE[2:] if controllers else _RECLAIMABLE[:2]
                swapped = _difference(top / folder, "memory.swap.max", "memory.swap.current")
                yield left + sum(stat.get(name, 0) for name in names) + min(swap, swapped)


def _difference(folder: Path, limit: str, usage: str) -> float:
    """Return a limit minus what is used of it; infinite if there is no limit."""
    texts = [_read_text(folder / name).strip() for name in (limit, usage)]
    if not all(text.isdecimal() for text in texts):  # none there, or "max"
        return inf
    allowed, used = map(int, texts)
    return allowed - used


def _left_by_limit(root: Path) -> float:
    """Return what the limit of address space leaves to this process."""
    limit, pages = _address_limit(), _read_text(root / "proc/self/statm").split()
    return limit - int(pages[0]) * mmap.PAGESIZE if pages else inf


def resident_bytes(root: Path = Path("/")) -> int | None:
    """Return the memory that this process holds; None where the system does not tell."""
    pages = _read_text(root / "proc/self/statm").split()
    if len(pages) < 2:
        return _peak_resident_bytes()
    return int(pages[1]) * mmap.PAGESIZE


if sys.platform == "win32":

    def _physical() -> float:
        """Return the memory of this machine; infinite since Python cannot tell here."""
        return inf

    def _address_limit() -> float:
        """Return the limit of address space of this process; there is none here."""
        return inf

    def _peak_resident_bytes() -> int | None:
        """Return the most memory that this process has held; Python cannot tell here."""
        return None

else:

    def _physical() -> float:
        """Return the memory of this machine; infinite where the system does not tell."""
        if "SC_PHYS_PAGES" in os.sysconf_names:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return inf

    def _address_limit() -> float:
        """Return the limit of address space of this process (`ulimit -v`)."""
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        return inf if limit == resource.RLIM_INFINITY else limit

    def _peak_resident_bytes() -> int | None:
        """Return the most memory that this process has held."""
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _read_fields(path: Path) -> dict[str, int]:
    """Return the numbers of a file of lines `name number`."""
    words = [line.split() for line in _read_text(path).splitlines()]
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdecimal()}


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
