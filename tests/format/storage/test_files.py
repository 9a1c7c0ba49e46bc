"""What is there and what is not, also where the disk does not tell."""

import errno
import os
from pathlib import Path

import pytest

from mypt.format.storage.files import beside, is_folder, is_present, is_regular_file, real_path


def fail(monkeypatch, code):
    def stat(path, **_):
        raise OSError(code, "no answer", str(path))

    monkeypatch.setattr(Path, "stat", stat)


def test_what_is_there_is_present_and_nothing_else(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    assert is_present(tmp_path)
    assert is_present(tmp_path / "file")
    assert is_present(tmp_path / "circle")
    assert not is_present(tmp_path / "other")
    assert not is_present(tmp_path / "file" / "other")
    assert not is_present(tmp_path / "zero\0")


def test_a_file_is_no_folder_and_a_circle_is_neither(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    assert [is_regular_file(tmp_path / name) for name in ("file", "circle", ".", "none")] == [
        *(True, False, False, False)
    ]
    assert [is_folder(tmp_path / name) for name in ("file", "circle", ".", "none")] == [
        *(False, False, True, False)
    ]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.ESTALE, errno.ENAMETOOLONG])
def test_where_the_disk_does_not_tell_neither_is_said(monkeypatch, tmp_path, code):
    fail(monkeypatch, code)
    for ask in (is_present, is_regular_file, is_folder):
        with pytest.raises(OSError, match="no answer"):
            ask(tmp_path)


def test_a_folder_that_cannot_be_looked_into_is_named(monkeypatch, tmp_path):
    fail(monkeypatch, errno.EACCES)
    with pytest.raises(PermissionError) as refusal:
        is_present(tmp_path / "config.json")
    assert refusal.value.filename == str(tmp_path)


def test_a_path_leads_to_what_has_no_links_and_a_circle_nowhere_else(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "link").symlink_to("cat")
    (tmp_path / "circle").symlink_to("circle")
    place = tmp_path.resolve()
    assert real_path(tmp_path / "link" / "..") == place
    assert real_path(tmp_path / "link") == place / "cat"
    assert real_path(tmp_path / "circle") == place / "circle"


@pytest.mark.parametrize("way", [".", "", "../cat", "x/.."])
def test_what_lies_beside_a_path_has_its_name_also_where_the_path_shows_none(
    way, tmp_path, monkeypatch
):
    (tmp_path / "cat" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cat")
    assert beside(Path(way), "{}_gold").absolute().resolve() == tmp_path.resolve() / "cat_gold"
    assert beside(Path("a/b"), ".{}.x") == Path("a/.b.x")
    assert beside(Path("/"), "{}_gold") == Path("/_gold")


def test_a_circle_on_the_way_to_a_path_leaves_nothing_there(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    for ask in (is_present, is_regular_file, is_folder):
        assert not ask(tmp_path / "circle" / "model.pt")


@pytest.mark.parametrize(("number", "there"), [(123, False), (1921, True), (64, None)])
def test_errors_of_windows_are_told_from_each_other(monkeypatch, tmp_path, number, there):
    """A name that no file can have, a circle, and a share that is gone; `errno` is one for all."""

    class WindowsError(OSError):
        winerror = number

    def stat(path, *, follow_symlinks=True):
        if not follow_symlinks:
            return os.lstat(path)
        raise WindowsError(errno.EINVAL, "no answer", str(path))

    (tmp_path / "circle").symlink_to("circle")
    monkeypatch.setattr(Path, "stat", stat)
    if there is None:
        for ask in (is_present, is_regular_file, is_folder):
            with pytest.raises(OSError, match="no answer"):
                ask(tmp_path / "circle")
    else:
        assert is_present(tmp_path / "circle") == there
        assert not is_regular_file(tmp_path / "circle")
