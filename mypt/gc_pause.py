"""Pause the garbage collector while torch is imported and a checkpoint is opened."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def pause_gc(*, freeze: bool = False) -> Iterator[None]:
    """Disable garbage collection inside, unless it is disabled already.

    Importing torch creates hundreds of thousands of objects that are never freed. Scanning them
    again and again takes a sixth of the time to the first token.

    Args:
        freeze: Whether objects created until the end are exempt from collection for good, which
            is for a process that does one thing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        if freeze:
            gc.freeze()
    finally:
        if was_enabled:
            gc.enable()
