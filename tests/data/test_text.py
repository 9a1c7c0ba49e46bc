import os

import pytest

from mypt.data import text as text_module
from mypt.data.text import InputText, open_text, read_text, shift_place
from mypt.format.errors import DataError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "input.txt"


@pytest.mark.parametrize("text", ["ciò\r\nche\rè\n\n", "no newline", " ", "😀\u2028", "\n\ufeff"])
@pytest.mark.parametrize("block", [1, 2, 3, 4, 5, 100])
def test_a_text_is_read_as_it_is(file, text, block, monkeypatch):
    monkeypatch.setattr(text_module, "_BLOCK_BYTES", block)
    file.write_bytes(text.encode())
    assert read_text(file) == text
    assert read_text(str(file)) == text
    opened = InputText((open_text(file),), str(file))
    assert (opened.text, opened.text) == (text, text)
    assert InputText((text.encode(),), "-").text == text


def test_the_size_of_a_text_is_known_before_it_is_read(file):
    file.write_bytes(b"12345")
    assert InputText((open_text(file), "678", b"90"), "three parts").size_bytes == 10


@pytest.mark.parametrize("block", [1, 2, 3, 4, 100])
def test_a_byte_order_mark_is_dropped_once(file, block, monkeypatch):
    monkeypatch.setattr(text_module, "_BLOCK_BYTES", block)
    file.write_bytes(b"\xef\xbb\xbf\xef\xbb\xbfab")
    assert read_text(file) == "\ufeffab"
    assert InputText((open_text(file),), str(file)).text == "\ufeffab"


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
    with pytest.raises(DataError) as again:
        _ = InputText((open_text(file),), str(file)).text
    assert again.value.problems == caught.value.problems


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 9])
def test_a_wrong_byte_anywhere_is_named_by_its_place(file, at, monkeypatch):
    monkeypatch.setattr(text_module, "_BLOCK_BYTES", 4)
    data = "aè".encode() * 9
    file.write_bytes(data[: 3 * at] + b"\xff" + data)
    with pytest.raises(DataError, match=f"is not UTF-8: byte {3 * at} is 0xff"):
        _ = InputText((open_text(file),), str(file)).text


def test_parts_are_joined_with_a_newline_where_one_lacks_it(file):
    file.write_text("two\n")
    parts = ("zero", b"one", open_text(file), open_text(file), "three")
    assert InputText(parts, "all").text == "zero\none\ntwo\ntwo\nthree"


@pytest.mark.parametrize("now", ["shorter", "longer than it was before", "of the same size!"])
def test_a_file_that_changes_between_two_passes_is_named(file, now):
    file.write_text("as it was at first")
    opened = InputText((open_text(file),), str(file))
    assert opened.text == "as it was at first"
    file.write_text(now)
    os.utime(file, ns=(1, 1))
    with pytest.raises(DataError, match=r"input.txt: changed while it was read; run"):
        _ = opened.text


def test_a_place_in_a_piece_is_one_in_the_text():
    assert shift_place("line 1, column 3", 4, 10) == "line 5, column 13"
    assert shift_place("line 2, column 3", 4, 10) == "line 6, column 3"
    assert shift_place("line 2", 4, 10) == "line 6"
    assert shift_place("/chars", 4, 10) == "/chars"


def test_what_cannot_be_opened_is_refused(file, tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_text(file)
    with pytest.raises(DataError, match="is a folder"):
        read_text(tmp_path)
    file.write_text("text")
    with pytest.raises(DataError, match="cannot be read"):
        read_text(file / "below")
    with pytest.raises(DataError, match="there is no such file"):
        open_text(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a folder"):
        open_text(tmp_path)
