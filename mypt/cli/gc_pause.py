"""Pause the garbage collector while torch is imported."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def pause_gc() -> Iterator[None]:
    """Disable garbage collection inside, and exempt objects created inside from it for good.

    Importing torch creates hundreds of thousands of objects that are never freed. Scanning them
    again and again takes a sixth of the time to the first token.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
