"""Locate the data folders that ship with mypt."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path


def data_dir(name: str) -> Path:
    """Return the folder `schemas` or `configs`, installed or in a checkout.

    Args:
        name: The folder's name in the repository.
    """
    try:
        package = import_module(f"mypt.{name}")  # importlib.resources takes longer than validation
    except ModuleNotFoundError:  # a checkout, where it lies beside the package
        return Path(__file__).resolve().parents[2] / name
    return Path(package.__path__[0])
