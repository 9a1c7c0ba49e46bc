"""Which programs a model can be exported to, told from its config before it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.format.errors import MyptError, format_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypt.format.documents.config import GPTConfig
    from mypt.format.errors import Problem
    from mypt.plugins.contracts.exporter import ExporterFactory
    from mypt.plugins.manager import Plugins


@frozen(kw_only=True)
class Export:
    """Whether models of a config can be exported to a program.

    Attributes:
        exporter: Name of the exporter.
        title: The program.
        reasons: Why not, each with the nearest setting that can; none if they can.
    """

    exporter: str
    title: str
    reasons: tuple[Problem, ...] = ()

    def describe_reasons(self) -> list[str]:
        """Return each reason with what to do, a line each."""
        return [
            str(evolve(reason, file="", where=reason.where.lstrip("/"))) for reason in self.reasons
        ]


def list_exports(config: GPTConfig, plugins: Plugins) -> list[Export]:
    """Return for each exporter of such models whether a config can be exported.

    Weights need not exist.

    An exporter of a plugin that fails has the failure as its reason.
    """
    return [
        Export(exporter=name, title=exporter.title, reasons=_ask(exporter, config))
        for name, exporter in plugins.exporters.items()
        if exporter.takes_adapters == (config.adapter is not None)
    ]


def _ask(exporter: ExporterFactory, config: GPTConfig) -> tuple[Problem, ...]:
    try:
        return tuple(exporter.explain(config))
    except MyptError as error:
        return tuple(error.problems)


def describe_exports(exports: Sequence[Export]) -> Iterator[str]:
    """Yield a line on the programs that a model can be exported to, and one on each other."""
    allowed = [export.exporter for export in exports if not export.reasons]
    if allowed:
        yield f"Can be exported to: {', '.join(allowed)}"
    for export in exports:
        if export.reasons:
            first, *others = export.describe_reasons()
            more = f" (and {format_count(len(others), 'other reason')})" if others else ""
            yield f"Cannot be exported to {export.exporter}: {first}{more}"
