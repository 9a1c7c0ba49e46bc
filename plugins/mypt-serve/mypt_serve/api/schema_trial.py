"""Try out the schemas of strangers in a process of their own, before the server compiles them.

Where a schema intersects regular expressions, the time and memory of its compilation may grow
exponentially with their number, which no limit of `llguidance` ends.
"""

from __future__ import annotations

import asyncio
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mypt.engine.inference.processors.constraints import write_schema
from mypt_serve.api.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

# A schema of 500 properties takes 0.01 s of the processor, a new interpreter 0.1 s.
CPU_S, WALL_S, MEMORY_BYTES = 1, 20.0, 1 << 30
_MOST_AT_ONCE, _MOST_KNOWN = 2, 1024


class SchemaTrial:
    """Compiles schemas as a trial, few at once, and remembers those that are harmless."""

    def __init__(self) -> None:
        """Begin with none that is known."""
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)
        self._harmless: dict[bytes, None] = {}

    async def check(self, schema: Mapping[str, Any]) -> None:
        """Raise if a schema takes too long to compile; whether it is faulty is not looked at.

        Raises:
            ApiError: It does.
        """
        grammar = write_schema(schema).encode()
        digest = sha256(grammar).digest()
        if digest in self._harmless:
            return
        async with self._turn:
            is_harmless = await _try_out(grammar)
        if not is_harmless:
            refuse("response_format", "has a schema that is too complex to follow; simplify it")
        while len(self._harmless) >= _MOST_KNOWN:
            del self._harmless[next(iter(self._harmless))]
        self._harmless[digest] = None


async def _try_out(grammar: bytes) -> bool:
    """Return whether a grammar compiles within the limits, or is refused within them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "mypt_serve.compile_grammar"),
        *(str(CPU_S), str(MEMORY_BYTES)),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is the server's
    )
    try:
        async with asyncio.timeout(WALL_S):
            await process.communicate(grammar)
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode == 0
