"""The git repository that a run is started in."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from mypt.format.documents.provenance import GitState

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_S = 3.0  # a run does not wait longer for a repository that is large, or far away
# Neither takes a lock nor runs a program that the repository names.
_COMMAND = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "status")
_OPTIONS = ("--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=all")
_COMMIT = "# branch.oid "


def read_git_state(folder: Path) -> GitState | None:
    """Return the commit that is checked out around a folder, and whether files differ from it.

    Files that git does not track do not count.

    Returns:
        None where there is no repository, no commit, no git, or no answer within three seconds.
    """
    environment = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - a constant
            [*_COMMAND, *_OPTIONS],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    commit = next((line.removeprefix(_COMMIT) for line in lines if line.startswith(_COMMIT)), "")
    if not commit or not commit.isalnum():  # "(initial)" before the first commit
        return None
    return GitState(commit=commit, dirty=any(not line.startswith("#") for line in lines))
