"""Compile the grammar on standard input within limits; the status tells whether that ended.

Run as a process of its own: `python -m mypt_serve.compile_grammar CPU_S MEMORY_BYTES`. It imports
nothing of mypt, so that it begins at once.
"""

from __future__ import annotations

import sys

from llguidance import LLMatcher, LLTokenizer


def main() -> None:
    """Compile it for a vocabulary of bytes; the real one changes little of what that takes."""
    _limit(*map(int, sys.argv[1:]))
    grammar = sys.stdin.buffer.read().decode()
    LLMatcher(LLTokenizer("byte"), grammar, log_level=0).compute_bitmask()


def _limit(cpu_s: int, memory_bytes: int) -> None:
    """Limit this process; Windows has no such limits, and only the caller's clock ends it there."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


if __name__ == "__main__":
    main()
