"""Python's search for garbage, put off while torch is imported."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def pause_gc() -> Iterator[None]:
    """Look for no garbage inside, nor ever again among what is made inside.

    An import of torch makes objects by the hundred thousand, all of which stay. To look through
    them again and again takes a sixth of the time to the first token.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
