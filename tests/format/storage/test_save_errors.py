import errno
import os
from pathlib import Path

import pytest

from mypt.format.errors import SaveError
from mypt.format.storage.save_errors import explain_no_folder, make_save_error, raising_save_errors


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("ENOSPC", "free space on that disk"),
        ("EDQUOT", "free space within your quota"),
        ("EACCES", "give yourself permission to write there"),
        ("EROFS", "choose a place that can be written"),
        ("EIO", "check that disk"),
        ("ENOTDIR", "check that place and its disk"),
    ],
)
def test_the_path_the_reason_and_what_to_do_are_one_line(name, fix):
    number = getattr(errno, name)
    error = OSError(number, os.strerror(number))
    assert str(make_save_error(Path("out"), error)) == (
        f"out: could not be written: {os.strerror(number)}; {fix}, then run the same command again"
    )
    assert str(make_save_error(Path("out"), error, "; all is well")).endswith(f"{fix}; all is well")


def test_only_errors_of_the_system_are_converted():
    with (
        pytest.raises(SaveError, match="out: could not be written: oh"),
        raising_save_errors(Path("out")),
    ):
        raise OSError("oh")
    with pytest.raises(ValueError, match="oh"), raising_save_errors(Path("out")):
        raise ValueError("oh")


def test_what_stands_where_a_folder_has_to_be_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("gone").symlink_to("unmounted")
    Path("taken").touch()
    for name, fix in (
        ("gone", "make that folder, or mount its disk"),
        ("taken", "rename that file"),
    ):
        target = Path(name) / "dante"
        with pytest.raises(SaveError) as caught, raising_save_errors(target):
            target.mkdir(parents=True)
        assert str(caught.value) == (
            f"{target}: could not be written: {WHY[name]}; {fix}, then run the same command again"
        )
    assert explain_no_folder(tmp_path) is None
    assert explain_no_folder(Path("nothing")) is None


WHY = {
    "gone": "gone is a link to unmounted, where there is no folder",
    "taken": "taken is a file, where a folder has to be",
}


def test_a_file_that_could_not_be_replaced_stands_in_no_way(tmp_path):
    path = tmp_path / "chat.jsonl"
    path.touch()
    said = str(make_save_error(path, FileNotFoundError(errno.ENOENT, "No such file")))
    assert said.startswith(f"{path}: could not be written: No such file; ")


def test_a_folder_that_cannot_be_looked_into_is_no_missing_one(tmp_path, monkeypatch):
    def stat(path, **_):
        raise PermissionError(errno.EACCES, "no", str(path))

    (tmp_path / "link").symlink_to("hidden/models")
    monkeypatch.setattr(Path, "stat", stat)
    assert explain_no_folder(tmp_path / "link") is None
