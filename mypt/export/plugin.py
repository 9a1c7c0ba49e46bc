"""Registers the exporters that come with mypt."""

from __future__ import annotations

from mypt.plugins import ExporterFactory, hookimpl


@hookimpl
def mypt_exporters() -> list[ExporterFactory]:
    """Offer the built-in exporters, which are imported where one is looked up."""
    from mypt.export.hugging_face.exporter import EXPORTER as HUGGING_FACE

    return [HUGGING_FACE]
