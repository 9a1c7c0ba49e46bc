"""Locate the data folders that ship with mypt."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def data_dir(name: str) -> Traversable:
    """Return the folder `schemas` or `configs`, installed, in a checkout or in a zip file.

    Args:
        name: The folder's name in the repository.
    """
    try:
        package = import_module(f"mypt.{name}")
    except ModuleNotFoundError:  # a checkout, where it lies beside the package
        return Path(__file__).resolve().parents[2] / name
    folder = Path(package.__path__[0])
    if folder.is_dir():  # importlib.resources takes longer than validation
        return folder
    from importlib.resources import files

    return files(package)
