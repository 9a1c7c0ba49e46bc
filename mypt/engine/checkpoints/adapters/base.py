"""Open the base of an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.bundle.base import find_base
from mypt.format.errors import FormatError, Problem
from mypt.format.open import open_checkpoint

if TYPE_CHECKING:
    from mypt.format.open import Opened
    from mypt.plugins.manager import Plugins


def open_base(opened: Opened, plugins: Plugins) -> Opened:
    """Open the base of an adapter.

    Args:
        opened: The adapter.
        plugins: Where parts and readers are looked up.

    Raises:
        FormatError: It is not there, has other weights, or is an adapter itself.
    """
    adapter = opened.config.adapter
    if adapter is None:
        return opened
    path = find_base(opened.path, adapter, opened.base_path)
    base = open_checkpoint(path, plugins)
    if base.config.adapter is not None:
        what = f"names {path}, which is an adapter itself"
        raise FormatError(
            Problem(str(opened.path), "/adapter/base", what, "merge it", kind="adapter")
        )
    return base
