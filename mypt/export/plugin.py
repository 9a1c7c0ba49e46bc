"""Registers the exporters that come with mypt."""

from __future__ import annotations

from mypt.plugins import ExporterFactory, hookimpl


@hookimpl
def mypt_exporters() -> list[ExporterFactory]:
    """Offer the built-in exporters, which are imported where one is looked up."""
    from mypt.export.gguf.exporter import EXPORTER as GGUF
    from mypt.export.hugging_face.exporter import EXPORTER as HUGGING_FACE
    from mypt.export.litgpt.exporter import EXPORTER as LITGPT
    from mypt.export.llama2c.exporter import EXPORTER as LLAMA2C

    return [HUGGING_FACE, GGUF, LITGPT, LLAMA2C]
