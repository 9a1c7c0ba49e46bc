"""Register the data sources with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import DataSourceFactory, hookimpl
from mypt_datasets.folders import is_dataset_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.plugins import SourceFile

FIELD = {
    "type": "string",
    "minLength": 1,
    "default": "text",
    "description": "The column that holds the text.",
}
SPLIT = {
    "type": "string",
    "minLength": 1,
    "description": "The split to read: train by default, or the only one.",
}


def _make_schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


@hookimpl
def mypt_data_sources() -> list[DataSourceFactory]:
    """Offer the sources `parquet`, `arrow` and `datasets`."""
    return [
        DataSourceFactory(
            "parquet", recognises=_is_parquet, read=_read_parquet, options=_make_schema(field=FIELD)
        ),
        DataSourceFactory(
            "arrow", recognises=_is_arrow, read=_read_arrow, options=_make_schema(field=FIELD)
        ),
        DataSourceFactory(
            "datasets",
            recognises=is_dataset_folder,
            read=_read_folder,
            options=_make_schema(field=FIELD, split=SPLIT),
        ),
    ]


def _is_parquet(file: SourceFile) -> bool:
    if file.is_folder:
        return False
    return file.name.lower().endswith(".parquet") or file.head.startswith(b"PAR1")


def _is_arrow(file: SourceFile) -> bool:
    if file.is_folder:
        return False
    return file.name.lower().endswith(".arrow") or file.head.startswith(b"ARROW1")


def _read_parquet(file: SourceFile, options: Mapping[str, Any]) -> Iterator[str]:
    from mypt_datasets.tables import read_parquet

    with file.open() as stream:
        yield from read_parquet(stream, str(file.path), options.get("field", "text"))


def _read_arrow(file: SourceFile, options: Mapping[str, Any]) -> Iterator[str]:
    from mypt_datasets.tables import read_arrow

    with file.open() as stream:
        yield from read_arrow(stream, str(file.path), options.get("field", "text"))


def _read_folder(file: SourceFile, options: Mapping[str, Any]) -> Iterator[str]:
    from mypt_datasets.folders import find_tables
    from mypt_datasets.tables import read_arrow, read_parquet

    for path in find_tables(file.path, options.get("split")):
        read = read_parquet if path.suffix == ".parquet" else read_arrow
        with path.open("rb") as stream:
            yield from read(stream, str(path), options.get("field", "text"))
