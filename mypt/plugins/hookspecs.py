"""The hooks: the one way in which anything that varies becomes known to mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypt.format.readers.contract import ReaderFactory
    from mypt.plugins.contracts import GuardFactory, PartFactory, SinkFactory, TokenizerFactory

PROJECT = "mypt"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def mypt_tokenizers() -> Iterable[TokenizerFactory]:  # type: ignore[empty-body]
    """Offer tokenizers, by `token_kind`.

    Called once, at the first look-up. Import what is heavy inside `build` and `train`.

    Returns:
        The factories. A `token_kind` that is taken is a `PluginError` naming both plugins.

    Example:
        @hookimpl
        def mypt_tokenizers():
            return [TokenizerFactory("bytes", build=build_bytes, train=train_bytes)]
    """


@hookspec
def mypt_parts() -> Iterable[PartFactory]:  # type: ignore[empty-body]
    """Offer architecture parts, by slot and name.

    Called once, at the first look-up. Import torch inside `build`.

    Returns:
        The factories. A name that its slot already has is a `PluginError` naming both plugins.

    Example:
        @hookimpl
        def mypt_parts():
            return [PartFactory("norm_type", "none", build=build_identity)]
    """


@hookspec
def mypt_gold_guards() -> Iterable[GuardFactory]:  # type: ignore[empty-body]
    """Offer gold guards, by name; those that a run names in `gold_guards` judge it.

    Called once, at the first look-up.

    Returns:
        The factories. A name that is taken is a `PluginError` naming both plugins.

    Example:
        @hookimpl
        def mypt_gold_guards():
            return [GuardFactory("never_above", build=lambda options: guard_below(4.0))]
    """


@hookspec
def mypt_log_sinks() -> Iterable[SinkFactory]:  # type: ignore[empty-body]
    """Offer log sinks, by name; those that a run names in `log_sinks` hear it.

    Called once, at the first look-up. Import what is heavy inside `build`.

    Returns:
        The factories. A name that is taken is a `PluginError` naming both plugins.

    Example:
        @hookimpl
        def mypt_log_sinks():
            return [SinkFactory("print", build=lambda run: PrintSink())]
    """


@hookspec
def mypt_legacy_readers() -> Iterable[ReaderFactory]:  # type: ignore[empty-body]
    """Offer readers of files that are not bundles, by name; the content decides which one reads.

    Called once, at the first look-up. Import torch inside `read`.

    Returns:
        The factories. A name that is taken is a `PluginError` naming both plugins.

    Example:
        @hookimpl
        def mypt_legacy_readers():
            return [ReaderFactory("my_program", recognises=looks_like_mine, read=read_mine)]
    """
