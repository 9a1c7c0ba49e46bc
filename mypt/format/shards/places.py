"""Where the sharded saves of a model lie: their folders, and the commit record among them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mypt.format.storage.files import beside, is_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD = "shards.json"
# Ends the name of the folder that has the sharded saves of a model.
SUFFIX = "_shards"
_GENERATION = re.compile(r"generation-([0-9]{6,16})")


def shards_path(folder: Path) -> Path:
    """Return where the sharded saves of a model go, which is beside it."""
    return beside(folder, f"{{}}{SUFFIX}")


def model_path(shards: Path) -> Path:
    """Return the folder of the model that a folder of shards is called for."""
    return shards.with_name(shards.name.removesuffix(SUFFIX) or shards.name)


def generation_path(shards: Path, generation: int) -> Path:
    """Return the folder with the files of a generation."""
    return shards / f"generation-{generation:06d}"


def find_generations(shards: Path) -> Iterator[tuple[int, Path]]:
    """Yield the number and the folder of each generation, committed or not."""
    for path in shards.iterdir():
        if found := _GENERATION.fullmatch(path.name):
            yield int(found[1]), path


def holds_shards(path: Path) -> bool:
    """Return whether a folder holds a sharded save, sound or not."""
    return is_regular_file(path / RECORD)
