"""Registers the exporters that come with mypt, and the reader of what one of them writes."""

from __future__ import annotations

from mypt.plugins import ExporterFactory, ReaderFactory, hookimpl


@hookimpl
def mypt_exporters() -> list[ExporterFactory]:
    """Offer the built-in exporters, which are imported where one is looked up."""
    from mypt.export.gguf.exporter import EXPORTER as GGUF
    from mypt.export.hugging_face.exporter import EXPORTER as HUGGING_FACE
    from mypt.export.litgpt.exporter import EXPORTER as LITGPT
    from mypt.export.llama2c.exporter import EXPORTER as LLAMA2C
    from mypt.export.peft.exporter import EXPORTER as PEFT

    return [HUGGING_FACE, GGUF, LITGPT, LLAMA2C, PEFT]


@hookimpl
def mypt_legacy_readers() -> list[ReaderFactory]:
    """Offer the reader of adapters, whose modules are named as an exporter names them."""
    from mypt.export.peft.reader import READER

    return [READER]
