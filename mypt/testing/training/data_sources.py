"""Check a data source: what it recognises, and the same documents at each pass, also unpacked."""

from __future__ import annotations

import gzip
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.data.sources.input_source import InputSource, SourceDocuments
from mypt.format.errors import DataError
from mypt.format.storage.files import is_regular_file
from mypt.plugins.contracts.data_source import DataSourceFactory
from mypt.testing.expectations import check_fields, check_options, checking_results, during, expect
from mypt.testing.updates import check_current

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN_TEXT = "Once upon a time.\nThe end.\n"


@during("the data source")
def check_data_source(
    factory: DataSourceFactory, path: str | Path, options: Mapping[str, Any] | None = None
) -> list[str]:
    """Check that a data source reads a file or folder as training needs it.

    Checked are what it recognises, that each pass has the same documents, that it stops reading
    when it is asked to, that a compressed file has the same documents, and that one cut short is
    refused or read in part, by a `DataError`.

    Args:
        factory: As the plugin offers it.
        path: A file or folder that it reads.
        options: What a run gives as `data_options`.

    Returns:
        The documents that are not empty; whether they are right is up to the caller.

    Raises:
        ContractError: The data source violates its contract.
    """
    given, place = dict(options or {}), Path(path)
    check_fields(factory, DataSourceFactory)
    check_options(factory, given)
    check_current(factory, given)
    expect(bool(factory.recognises(InputSource(place))), f"it does not recognise {place.name}")
    with during("a first pass"):
        documents = _read(factory, place, given)
    with during("a pass that ends early"):
        some = iter(factory.read(InputSource(place), given))
        for _ in islice(some, 1):
            pass
        getattr(some, "close", lambda: None)()
    with during("a second pass"):
        expect(_read(factory, place, given) == documents, "a second pass has other documents")
    with tempfile.TemporaryDirectory() as work:
        _check_others(factory, Path(work))
        if is_regular_file(place):
            _check_compressed(factory, place, given, documents, Path(work))
            _check_damaged(factory, place, given, Path(work))
    return documents


def _read(factory: DataSourceFactory, path: Path, options: Mapping[str, Any]) -> list[str]:
    checked = checking_results(factory)
    return list(SourceDocuments(InputSource(path), checked, options, False).documents())


def _check_others(factory: DataSourceFactory, work: Path) -> None:
    """Check that it leaves to others what is none of its own."""
    (work / "story").write_text(_PLAIN_TEXT, encoding="utf-8")
    expect(not factory.recognises(InputSource(work / "story")), "it recognises a plain text")
    (work / "empty").mkdir()
    expect(not factory.recognises(InputSource(work / "empty")), "it recognises an empty folder")


def _check_compressed(
    factory: DataSourceFactory,
    path: Path,
    options: Mapping[str, Any],
    documents: list[str],
    work: Path,
) -> None:
    packed = work / f"{path.name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    expect(
        bool(factory.recognises(InputSource(packed))),
        f"it does not recognise {packed.name}; go by `name` and `head`, not by `path`",
    )
    with during(f"reading {packed.name}"):
        found = _read(factory, packed, options)
    expect(found == documents, f"{packed.name} has other documents; open it with `open`")


def _check_damaged(
    factory: DataSourceFactory, path: Path, options: Mapping[str, Any], work: Path
) -> None:
    data = path.read_bytes()
    cut = work / path.name
    for length in sorted({0, 1, len(data) // 3, len(data) // 2, len(data) - 1}):
        cut.write_bytes(data[:length])
        with during(f"reading {path.name} cut to {length} bytes"):
            try:
                _read(factory, cut, options)
            except DataError:
                continue
