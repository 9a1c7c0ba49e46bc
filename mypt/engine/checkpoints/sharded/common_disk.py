"""Whether all processes of a run see one disk, without which parts could not be put together."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mypt.engine.runtime.world import ProcessError
from mypt.format.errors import Problem
from mypt.format.storage.files import beside
from mypt.format.storage.save_errors import raising_save_errors

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.engine.runtime.world import World

# How long a network's file system may take to show a new file to other machines.
_PATIENCE_S = 5.0
_PAUSE_S = 0.1


def ensure_common_disk(shards: Path, world: World) -> None:
    """Raise, in every process alike, if one does not see what the first writes.

    Args:
        shards: The folder of shards of the run; it may be missing.
        world: The processes.

    Raises:
        ProcessError: One does not, and is named.
        SaveError: The first cannot write there.
    """
    probe = beside(shards, ".{}.mypt-preflight")
    token = secrets.token_hex(16)
    with world.stage("disk"):
        if world.is_main:
            with raising_save_errors(probe):
                probe.parent.mkdir(parents=True, exist_ok=True)
                probe.write_text(token, "ascii")
    token = world.exchange("disk probe", token)[0]
    mine = "" if _can_see(probe, token) else str(world)
    without = [name for name in world.exchange("disk view", mine) if name]
    if world.is_main:
        with suppress(OSError):
            probe.unlink()
    if without:
        what = (
            f"has each process write its part to {shards.parent}, which {without[0]} does not share"
            " with the first process"
        )
        fix = (
            "put that folder on a disk that all machines share, or leave it out: the first process"
            " then gathers each save"
        )
        raise ProcessError(Problem("", "--sharded_saves", what, fix, kind="world.disk"))


def _can_see(probe: Path, token: str) -> bool:
    until = time.monotonic() + _PATIENCE_S
    while True:
        with suppress(OSError):
            if probe.read_text("ascii") == token:
                return True
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE_S)
