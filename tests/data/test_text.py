import pytest

from mypt.data.text import read_text
from mypt.format.errors import DataError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "input.txt"


@pytest.mark.parametrize("text", ["ciò\r\nche\rè\n\n", "no newline", " ", "😀\u2028", "\n\ufeff"])
def test_a_text_is_read_as_it_is(file, text):
    file.write_bytes(text.encode())
    assert read_text(file) == text
    assert read_text(str(file)) == text


def test_a_byte_order_mark_is_dropped_once(file):
    file.write_bytes(b"\xef\xbb\xbf\xef\xbb\xbfab")
    assert read_text(file) == "\ufeffab"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"ab\xe9 cd", "is not UTF-8: byte 2 is 0xe9, likely ISO-8859-1"),
        (b"\xef\xbb\xbfab\xff", "is not UTF-8: byte 5 is 0xff"),
        ("Dante".encode("utf-16"), "is UTF-16, not UTF-8"),
        (b"ab\xc3", "is not UTF-8: byte 2 is 0xc3, likely ISO-8859-1"),
        (b"\xed\xa0\x80", "is not UTF-8: byte 0 is 0xed"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
    ],
)
def test_what_is_no_text_is_refused(file, data, what):
    file.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_text(file)
    [problem] = caught.value.problems
    assert (problem.file, problem.what) == (str(file), what)
    assert problem.fix
    assert "\n" not in str(caught.value)


def test_what_cannot_be_opened_is_refused(file, tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_text(file)
    with pytest.raises(DataError, match="is a folder"):
        read_text(tmp_path)
    file.write_text("text")
    with pytest.raises(DataError, match="cannot be read"):
        read_text(file / "below")
