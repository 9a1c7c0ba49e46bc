"""A mapping whose rarely used part is computed on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LazyMapping(Mapping[K, V]):
    """A mapping whose rarely used part is computed on demand."""

    def __init__(self, known: Mapping[K, V], make: Callable[[], Mapping[K, V]]) -> None:
        """Store the known part, and how to compute the rest.

        Args:
            known: The part that needs no computation.
            make: Returns the whole mapping, including the known part.
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
        """Yield all keys, the known ones first."""
        yield from self._known
        for key in self._whole:
            if key not in self._known:
                yield key

    def __len__(self) -> int:
        """Return the number of all keys."""
        return len(self._whole)
