"""Which plugins of a checkpoint are of other versions than before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.manifest import GENERATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def list_version_changes(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the packages whose plugins may do something else now.

    A package that only a guard needs is no change where the guard begins or ceases to be used:
    `gold_guards` says so, and no weight depends on it.

    Args:
        before: Plugins by package, as `plugins` of a manifest has them.
        now: The same of those that are used now.

    Yields:
        The package, its version before and its version now; None where it was or is not used.
    """
    for package in sorted({*before, *now}):
        was, here = before.get(package), now.get(package)
        if was is not None and here is not None:
            if was["version"] != here["version"]:
                yield package, was["version"], here["version"]
        elif was is not None and GENERATE in was["needed_for"]:
            yield package, was["version"], None
        elif here is not None and GENERATE in here["needed_for"]:
            yield package, None, here["version"]
