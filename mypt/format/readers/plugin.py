"""Registers the readers that come with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from mypt.format.readers.contract import ReaderFactory

# The layers forbid importing mypt.plugins from here, so the marker is pluggy's own.
hookimpl = pluggy.HookimplMarker("mypt")


@hookimpl
def mypt_legacy_readers() -> list[ReaderFactory]:
    """Offer the built-in readers."""
    return []
