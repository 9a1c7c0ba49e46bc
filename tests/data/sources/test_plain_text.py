"""A text file is one document, in pieces."""

import gzip

import pytest

from mypt.data.sources.input_source import InputSource
from mypt.data.sources.plain_text import PLAIN_TEXT
from mypt.format.errors import DataError


def read(path):
    return ["".join(pieces) for pieces in PLAIN_TEXT.read(InputSource(path), {})]


def test_a_file_is_one_document_packed_or_not(tmp_path):
    text = "one\n\ntwo " * 1000
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    assert read(tmp_path / "a.txt") == read(tmp_path / "a.txt.gz") == [text]
    assert PLAIN_TEXT.recognises(InputSource(tmp_path / "a.txt"))
    assert not PLAIN_TEXT.recognises(InputSource(tmp_path))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"caf\xe9 et th\xe9", r"is not UTF-8: byte 3 is 0xe9.*\| iconv"),
        ("text".encode("utf-16"), "is UTF-16, not UTF-8"),
        (b"a\0b", "has NUL characters|is not a text"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
    ],
)
def test_what_is_packed_and_no_text_is_refused(tmp_path, data, what):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(data))
    with pytest.raises(DataError, match=what):
        read(tmp_path / "a.txt.gz")
