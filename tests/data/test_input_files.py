import io
import sys

import pytest

from mypt.data.input_files import read_input
from mypt.format.errors import DataError


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())


def test_one_file_is_read_as_it_is(tmp_path):
    write(tmp_path, {"a.txt": "no newline"})
    name = str(tmp_path / "a.txt")
    assert read_input([name]).text == "no newline"
    assert read_input([name]).source == name


def test_files_are_joined_with_a_newline_where_one_lacks_it(tmp_path):
    write(tmp_path, {"a": "one", "b": "two\n", "c": "\ufeffthree"})
    names = [str(tmp_path / name) for name in "abc"]
    text = read_input(names)
    assert text.text == "one\ntwo\nthree"
    assert text.source == ", ".join(names)


def test_a_folder_is_read_in_the_order_of_its_paths_without_hidden_and_empty_files(tmp_path):
    files = {"b.md": "4", "a/z.txt": "3", "a/b/c": "2", "A": "1"}
    left_out = {".hidden": "x", ".git/config": "x", "a/.b/c": "x", "empty": ""}
    write(tmp_path, dict(reversed((files | left_out).items())))
    assert read_input([str(tmp_path)]).text == "1\n2\n3\n4"


def test_an_empty_path_is_not_the_current_folder(in_tmp):
    write(in_tmp, {"a": "one"})
    with pytest.raises(DataError, match="the name of a file or folder is empty"):
        read_input([""])


def test_the_standard_input_is_a_file_among_others(tmp_path, monkeypatch):
    write(tmp_path, {"a": "one"})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("però".encode())))
    assert read_input([str(tmp_path / "a"), "-"]).text == "one\nperò"


def test_what_is_no_text_is_refused_by_its_name(tmp_path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(DataError, match="contains no text"):
        read_input([str(tmp_path)])
    with pytest.raises(DataError, match="nowhere: there is no such file"):
        read_input([str(tmp_path / "nowhere")])
    (tmp_path / "sub" / "image").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"image: is not UTF-8: byte 0 is 0x89"):
        read_input([str(tmp_path)])
    write(tmp_path, {"empty": ""})
    with pytest.raises(DataError, match="is empty"):
        read_input([str(tmp_path / "empty")])
