"""A file as a source gets it, and its documents."""

import gzip
import os

import pytest

from mypt.data.sources.input_source import InputSource, SourceDocuments
from mypt.format.errors import DataError, PluginError
from mypt.plugins import DataSourceFactory


def documents_of(path, read, *, was_named=True):
    factory = DataSourceFactory("any", recognises=lambda _: True, read=read)
    return SourceDocuments(InputSource(path), factory, {}, was_named)


def lines(source, options):
    with source.open() as stream:
        yield from (line.decode().rstrip("\n") for line in stream)


def test_name_and_head_are_those_of_the_unpacked_file(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x" * 10_000))
    source = InputSource(tmp_path / "a.csv.gz")
    assert (source.name, source.head, source.is_folder) == ("a.csv", b"x" * 4096, False)
    folder = InputSource(tmp_path)
    assert (folder.is_folder, folder.head) == (True, b"")
    assert InputSource(tmp_path / "-", b"data").open().read() == b"data"


def test_empty_documents_are_left_out_and_counted(tmp_path):
    (tmp_path / "a").write_text("one\n\n\ntwo\n")
    found = documents_of(tmp_path / "a", lines)
    assert found.left_out == []
    assert [*found.documents()] == ["one", "two"]
    assert found.left_out == [f"{tmp_path}/a: 2 documents without text, which are left out"]
    assert [*found.documents()] == ["one", "two"]
    assert len(found.left_out) == 1


def test_a_file_without_documents_is_refused_if_it_was_named(tmp_path):
    (tmp_path / "a").write_text("\n")
    with pytest.raises(DataError, match="a: contains no text"):
        [*documents_of(tmp_path / "a", lines).documents()]
    assert not [*documents_of(tmp_path / "a", lines, was_named=False).documents()]


def test_a_file_that_changed_is_refused(tmp_path):
    (tmp_path / "a").write_text("one\n")
    found = documents_of(tmp_path / "a", lines)
    assert [*found.documents()] == ["one"]
    os.utime(tmp_path / "a", ns=(1, 1))
    with pytest.raises(DataError, match="a: changed while it was read; run the same command"):
        [*found.documents()]


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "a").write_text("one\n")
    for wrong in (5, ["a", 5], None, b"one", {"text": "one"}):
        with pytest.raises(PluginError, match=r"the data source `any` returns (5|None|b'one'|\{)"):
            [*documents_of(tmp_path / "a", lambda *_, wrong=wrong: [wrong]).documents()]
    with pytest.raises(DataError, match="half of a surrogate pair"):
        [*documents_of(tmp_path / "a", lambda *_: ["x\ud800"]).documents()]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a").write_text("one\n")

    def fail(*_):
        raise OSError(5, "Input/output error")

    with pytest.raises(DataError, match=r"a: cannot be read \(Input/output error\)"):
        [*documents_of(tmp_path / "a", fail).documents()]
