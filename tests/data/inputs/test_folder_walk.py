"""What of a folder is read: all of it, through links, each once, or an error that names it."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mypt.data.inputs.folder_walk import FolderWalk


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    write(folder / "a.txt")
    write(folder / "sub" / "b.txt")
    return folder


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"the text of {path.name}\n")


def names(folder):
    walk = FolderWalk(folder)
    assert walk.problems == []
    return [file.name for file in walk.files]


def test_links_are_followed(corpus, tmp_path):
    write(tmp_path / "elsewhere" / "deep" / "c.txt")
    write(tmp_path / "alone.txt")
    (corpus / "more").symlink_to(tmp_path / "elsewhere")
    (corpus / "one.txt").symlink_to("../alone.txt")
    assert names(corpus) == ["a.txt", "more/deep/c.txt", "one.txt", "sub/b.txt"]


def test_links_to_links_are_followed(corpus, tmp_path):
    write(tmp_path / "far" / "d.txt")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "far").symlink_to(tmp_path / "far")
    (corpus / "near").symlink_to(tmp_path / "near")
    assert names(corpus) == ["a.txt", "near/far/d.txt", "sub/b.txt"]


@pytest.mark.parametrize("target", [".", "..", "sub", "sub/..", "a.txt", "sub/b.txt"])
@pytest.mark.parametrize("name", ["0", "sub/0", "z"])
def test_a_link_into_the_folder_or_above_it_changes_nothing(target, name, corpus):
    """Also where its name comes before what it leads to."""
    before = names(corpus)
    (corpus / name).symlink_to(corpus / target)
    assert names(corpus) == before


def test_a_circle_is_named(corpus, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "back").symlink_to(corpus)
    for name, target in {"up": "..", "here": ".", "sub/up": "..", "far": tmp_path / "far"}.items():
        (corpus / name).symlink_to(target)
    (corpus / "twice").symlink_to(corpus / "sub")
    write(tmp_path / "elsewhere.txt")
    found = {str(link.relative_to(corpus)) for link in FolderWalk(corpus).circles}
    assert found == {"here", "sub/up", "up", "far/back"}


def test_what_several_links_lead_to_is_read_once(corpus, tmp_path):
    write(tmp_path / "far" / "inner" / "d.txt")
    write(tmp_path / "far" / "e.txt")
    (corpus / "x").symlink_to(tmp_path / "far")
    (corpus / "y").symlink_to(tmp_path / "far")
    (corpus / "e.txt").symlink_to(tmp_path / "far" / "e.txt")
    (corpus / "z").symlink_to(tmp_path / "far" / "inner")
    assert names(corpus) == ["a.txt", "sub/b.txt", "x/e.txt", "x/inner/d.txt"]


def test_two_names_of_one_file_that_are_no_links_are_two_files(corpus):
    os.link(corpus / "a.txt", corpus / "copy.txt")
    assert names(corpus) == ["a.txt", "copy.txt", "sub/b.txt"]


def test_hidden_names_are_left_out_also_of_what_a_link_leads_to(corpus, tmp_path):
    write(corpus / ".git" / "config")
    write(tmp_path / ".store" / "kept.txt")
    write(tmp_path / ".store" / ".left-out")
    (corpus / ".link").symlink_to(tmp_path / ".store")
    (corpus / "link").symlink_to(tmp_path / ".store")
    assert names(corpus) == ["a.txt", "link/kept.txt", "sub/b.txt"]


def test_links_that_lead_nowhere_are_named(corpus):
    (corpus / "lost").symlink_to("gone/away")
    (corpus / "ring").symlink_to("gnir")
    (corpus / "gnir").symlink_to("ring")
    problems = {problem.file: problem.what for problem in FolderWalk(corpus).problems}
    assert problems == {
        f"{corpus}/lost": "is a link to gone/away, where there is nothing",
        f"{corpus}/ring": "is a link to gnir, which leads back to it",
        f"{corpus}/gnir": "is a link to ring, which leads back to it",
    }


def test_what_is_no_file_is_named(corpus):
    os.mkfifo(corpus / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(corpus / "socket"))
        found = sorted(str(problem) for problem in FolderWalk(corpus).problems)
    assert [line.split(": is ")[0] for line in found] == [f"{corpus}/pipe", f"{corpus}/socket"]
    assert "is neither a file nor a folder" in found[0]


AS_NOBODY = """
import os, sys
sys.path[:] = sys.argv[2].split(os.pathsep)
from mypt.data.inputs.folder_walk import FolderWalk
if os.geteuid() == 0:
    os.setgroups([])
    os.setuid(65534)
for problem in FolderWalk(__import__("pathlib").Path(sys.argv[1])).problems:
    print(problem)
"""


def test_folders_and_files_that_are_closed_to_the_user_are_named():
    """The super-user reads everything, so another process tries it as nobody."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder)
        corpus.chmod(0o755)
        write(corpus / "a.txt")
        write(corpus / "sub" / "b.txt")
        _check_closed(corpus)


def _check_closed(corpus):
    (corpus / "sub").chmod(0)
    (corpus / "a.txt").chmod(0)
    command = [sys.executable, "-c", AS_NOBODY, str(corpus), os.pathsep.join(sys.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (corpus / "sub").chmod(0o755)
    what = "cannot be read (Permission denied); make it readable, or move it elsewhere"
    assert sorted(done.stdout.splitlines()) == [f"{corpus}/a.txt: {what}", f"{corpus}/sub: {what}"]
