import shutil
import subprocess
import time

import pytest

from mypt.engine.runtime.git import read_git_state

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


@pytest.fixture
def git(tmp_path):
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")

    def call(*words):
        command = ["git", *who, *words]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)

    return call


@needs_git
def test_the_commit_is_read_and_whether_tracked_files_differ_from_it(git, tmp_path):
    git("init", "-q")
    assert read_git_state(tmp_path) is None
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD").stdout.strip()
    (tmp_path / "untracked").mkdir()
    (tmp_path / "untracked" / "b").write_text("1")
    for folder in (tmp_path, tmp_path / "untracked"):
        state = read_git_state(folder)
        assert (state.commit, state.dirty) == (commit, False)
    (tmp_path / "a").write_text("2")
    assert read_git_state(tmp_path).dirty


def test_a_folder_in_no_repository_has_no_state(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert read_git_state(tmp_path) is None


def test_without_git_there_is_no_state(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_git_state(tmp_path) is None


def test_a_git_that_does_not_answer_is_not_waited_for(tmp_path, monkeypatch):
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    began = time.monotonic()
    assert read_git_state(tmp_path) is None
    assert time.monotonic() - began < 20


@needs_git
def test_it_takes_one_call_and_runs_nothing_that_the_repository_names(git, tmp_path):
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    git("config", "core.fsmonitor", f"touch {tmp_path / 'ran'}; false")
    assert read_git_state(tmp_path) is not None
    assert not (tmp_path / "ran").exists()
