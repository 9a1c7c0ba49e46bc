"""Registers the data sources that come with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.data.sources.json_lines import JSON_LINES
from mypt.data.sources.plain_text import PLAIN_TEXT
from mypt.plugins import hookimpl

if TYPE_CHECKING:
    from mypt.plugins import DataSourceFactory


@hookimpl
def mypt_data_sources() -> list[DataSourceFactory]:
    """Return the factories of JSON lines and of plain text."""
    return [JSON_LINES, PLAIN_TEXT]
