"""Where the folders that ship with mypt are."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def data_dir(name: str) -> Traversable:
    """Find the folder `schemas` or `configs`, installed or in a checkout.

    Args:
        name: The folder's name in the repository.
    """
    try:
        return resources.files(f"mypt.{name}")
    except ModuleNotFoundError:  # a checkout that is not installed
        return Path(__file__).resolve().parents[2] / name
