import io
import os
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
    with pytest.raises(DataError, match="image: is a PNG image"):
        _ = read_input([str(tmp_path)]).text
    write(tmp_path, {"empty": ""})
    with pytest.raises(DataError, match="is empty"):
        read_input([str(tmp_path / "empty")])


def test_one_file_is_not_read_twice(tmp_path):
    """Named twice, it could be on both sides of the validation split."""
    write(tmp_path, {"a/one.txt": "1", "b.txt": "2"})
    (tmp_path / "again.txt").symlink_to(tmp_path / "b.txt")
    one, b = str(tmp_path / "a" / "one.txt"), str(tmp_path / "b.txt")
    for inputs, twice, other in [
        ([b, b], b, None),
        ([str(tmp_path / "a"), one], one, str(tmp_path / "a")),
        ([b, str(tmp_path / "again.txt")], str(tmp_path / "again.txt"), b),
        (["-", "-"], "-", None),
    ]:
        with pytest.raises(DataError) as caught:
            read_input(inputs)
        part = "" if other is None else f": it is part of {other} too"
        assert str(caught.value) == f"{twice}: is read twice{part}; name it once"


def test_everything_that_cannot_be_read_is_named_at_once(tmp_path):
    write(tmp_path, {"a.txt": "1"})
    (tmp_path / "lost").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError) as caught:
        read_input([str(tmp_path), str(tmp_path / "neither")])
    assert [problem.file for problem in caught.value.problems] == [
        str(tmp_path / name) for name in ("lost", "pipe", "neither")
    ]


def test_a_named_pipe_is_read_as_a_shell_passes_it(tmp_path):
    """`mypt train --input_file <(zcat text.gz)`"""
    read, write_end = os.pipe()
    os.write(write_end, b"from a pipe")
    os.close(write_end)
    try:
        assert read_input([f"/dev/fd/{read}"]).text == "from a pipe"
    finally:
        os.close(read)


def test_a_lost_link_that_is_named_says_where_it_leads(tmp_path):
    (tmp_path / "lost.txt").symlink_to("nowhere/at/all.txt")
    with pytest.raises(
        DataError, match=r"is a link to nowhere/at/all\.txt, where there is nothing"
    ):
        read_input([str(tmp_path / "lost.txt")])


def test_a_link_in_a_circle_is_warned_of(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("a text")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert read_input([str(tmp_path)]).text == "a text"
    (record,) = caplog.records
    assert f"{tmp_path}/loop leads back to a folder that it is in" in record.getMessage()
