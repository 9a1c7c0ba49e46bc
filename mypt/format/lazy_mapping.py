"""A mapping whose rarer part is made when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LazyMapping(Mapping[K, V]):
    """A mapping whose rarer part is made when somebody asks for it."""

    def __init__(self, known: Mapping[K, V], make: Callable[[], Mapping[K, V]]) -> None:
        """Take note of how to make it.

        Args:
            known: What is known without making anything.
            make: Gives the whole mapping, the known part included.
        """
        self._known = known
        self._make = make

    @cached_property
    def _whole(self) -> Mapping[K, V]:
        return self._make()

    def __getitem__(self, key: K) -> V:
        """Look up a key."""
        return self._known[key] if key in self._known else self._whole[key]

    def __iter__(self) -> Iterator[K]:
        """Go through all keys, those that are known first."""
        yield from self._known
        for key in self._whole:
            if key not in self._known:
                yield key

    def __len__(self) -> int:
        """Count all keys."""
        return len(self._whole)
