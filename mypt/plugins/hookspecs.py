"""The hooks through which plugins register what they offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

from mypt.format.version import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypt.format.readers.contract import ReaderFactory
    from mypt.plugins.contracts.command import CommandFactory
    from mypt.plugins.contracts.data_source import DataSourceFactory
    from mypt.plugins.contracts.exporter import ExporterFactory
    from mypt.plugins.contracts.guard import GuardFactory
    from mypt.plugins.contracts.part import PartFactory
    from mypt.plugins.contracts.sink import SinkFactory
    from mypt.plugins.contracts.tokenizer import TokenizerFactory
    from mypt.plugins.contracts.training import LossFactory, OptimizerFactory, ScheduleFactory
    from mypt.plugins.decoding.logit_processors import LogitProcessorFactory

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def mypt_tokenizers() -> Iterable[TokenizerFactory]:  # type: ignore[empty-body]
    """Offer tokenizers, by `token_kind`.

    Called once, at the first look-up. Import heavy packages inside `build` and `train`.

    Returns:
        The factories. A `token_kind` that is taken is a fault that names both plugins.

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
        The factories. A name that is taken in its slot is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_parts():
            return [PartFactory("norm_type", "none", build=build_identity)]
    """


@hookspec
def mypt_optimizers() -> Iterable[OptimizerFactory]:  # type: ignore[empty-body]
    """Offer optimizers, by name; a run uses the one that its `optimizer` names.

    Called once, at the first look-up. Import torch inside `build`.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_optimizers():
            return [OptimizerFactory("sgd", build=build_sgd)]
    """


@hookspec
def mypt_schedules() -> Iterable[ScheduleFactory]:  # type: ignore[empty-body]
    """Offer learning-rate schedules, by name; a run uses the one that its `lr_schedule` names.

    Called once, at the first look-up.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_schedules():
            return [ScheduleFactory("halving", build=lambda training: lambda step: 0.5 ** step)]
    """


@hookspec
def mypt_losses() -> Iterable[LossFactory]:  # type: ignore[empty-body]
    """Offer training losses, by name; a run uses the one that its `loss` names.

    Called once, at the first look-up. Import torch inside `build`.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_losses():
            return [LossFactory("focal", build=build_focal)]
    """


@hookspec
def mypt_data_sources() -> Iterable[DataSourceFactory]:  # type: ignore[empty-body]
    """Offer forms of files with texts, by name.

    A file's name and content decide which one reads it, unless `data_source` of a run names one.
    Called once, at the first look-up. Import heavy packages inside `read`.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_data_sources():
            return [DataSourceFactory("mbox", recognises=is_mailbox, read=read_mailbox)]
    """


@hookspec
def mypt_gold_guards() -> Iterable[GuardFactory]:  # type: ignore[empty-body]
    """Offer gold guards, by name; a run uses those that its `gold_guards` name.

    Called once, at the first look-up.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_gold_guards():
            return [GuardFactory("never_above", build=lambda options: guard_below(4.0))]
    """


@hookspec
def mypt_log_sinks() -> Iterable[SinkFactory]:  # type: ignore[empty-body]
    """Offer log sinks, by name; a run uses those that its `log_sinks` name.

    Called once, at the first look-up. Import heavy packages inside `build`.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_log_sinks():
            return [SinkFactory("print", build=lambda run: PrintSink())]
    """


@hookspec
def mypt_legacy_readers() -> Iterable[ReaderFactory]:  # type: ignore[empty-body]
    """Offer readers of files that are not bundles, by name; the content decides which one is used.

    Called once, at the first look-up. Import torch inside `read`.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_legacy_readers():
            return [ReaderFactory("my_program", recognises=looks_like_mine, read=read_mine)]
    """


@hookspec
def mypt_exporters() -> Iterable[ExporterFactory]:  # type: ignore[empty-body]
    """Offer exporters to other programs, by name; `mypt export --to` takes that name.

    Called once, at the first look-up. Import torch and other heavy packages inside `write`.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_exporters():
            return [ExporterFactory("mine", "my program", explain=explain, write=write_mine)]
    """


@hookspec
def mypt_logit_processors() -> Iterable[LogitProcessorFactory]:  # type: ignore[empty-body]
    """Offer logit processors, by name; a generation uses those that its `processors` name.

    Called once, at the first look-up. Import torch and other heavy packages inside `build`.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_logit_processors():
            return [LogitProcessorFactory("no_digits", build=ban_digits)]
    """


@hookspec
def mypt_commands() -> Iterable[CommandFactory]:  # type: ignore[empty-body]
    """Offer commands, by name; `mypt NAME` runs one.

    Called once, when a command is not one of mypt's own, or for `mypt --help`, which asks the
    plugins whose entry point is in the group `mypt.commands`, and calls no other hook. Import the
    command inside `load`.

    Returns:
        The factories. A name that is taken is a fault that names both plugins.

    Example:
        @hookimpl
        def mypt_commands():
            return [CommandFactory("hello", "Greet the user.", load=load_hello)]
    """
