"""List the files of a folder, also through links, or say which of it cannot be read."""

from __future__ import annotations

import errno
import heapq
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Identity = tuple[int, int]

_HIDDEN = "."


@frozen
class WalkedFile:
    """A file of a folder.

    Attributes:
        path: Its path.
        name: Its path within the folder, with slashes.
        status: Its size, time and identity, of what a link leads to.
    """

    path: Path
    name: str
    status: os.stat_result


class FolderWalk:
    """All files of a folder and its sub-folders, except those whose names begin with a dot.

    Links are followed. A folder is walked once, however many links lead to it, so a link to a
    folder above it ends there; and a link to a file that is listed anyhow adds nothing. So neither
    a link into the folder nor a circle of links changes what is found.

    Attributes:
        files: The files, in the order of their names.
        problems: What cannot be read: folders, files, links that lead nowhere, and what is no file.
        circles: Links that lead back to a folder that they were reached through.
    """

    def __init__(self, root: Path, is_whole: Callable[[Path], bool] = lambda _: False) -> None:
        """Walk a folder.

        Args:
            root: The folder.
            is_whole: Returns whether a folder in it is listed as if it were a file.
        """
        self._is_whole = is_whole
        self.files: list[WalkedFile] = []
        self.problems: list[Problem] = []
        self.circles: list[Path] = []
        self._folders: set[Identity] = set()
        self._folder_links: list[tuple[str, Path]] = []
        self._file_links: list[WalkedFile] = []
        self._walk(root, "")
        while self._folder_links:  # in the order of their names, whatever the disk's order is
            name, path = heapq.heappop(self._folder_links)
            self.circles += [path] if _leads_back(path) else []
            self._walk(path, f"{name}/")
        self._add_linked_files()
        self.files.sort(key=lambda file: file.name)
        self.problems.sort(key=lambda problem: problem.file)

    def _walk(self, root: Path, prefix: str) -> None:
        waiting = [(root, prefix)]
        while waiting:
            folder, prefix = waiting.pop()
            try:
                identity = identify(folder.stat())
                if identity in self._folders:
                    continue
                self._folders.add(identity)
                with os.scandir(folder) as entries:
                    visible = [entry for entry in entries if not entry.name.startswith(_HIDDEN)]
            except OSError as error:
                self.problems.append(explain_os_error(folder, error))
                continue
            waiting += self._add_entries(visible, prefix)

    def _add_entries(
        self, entries: list[os.DirEntry[str]], prefix: str
    ) -> Iterator[tuple[Path, str]]:
        """Add the files and links among the entries of a folder, and yield its sub-folders."""
        for entry in entries:
            path, name = Path(entry.path), prefix + entry.name
            try:
                status = entry.stat()
            except OSError as error:
                self.problems.append(explain_os_error(path, error))
                continue
            if stat.S_ISDIR(status.st_mode):
                if self._is_whole(path):
                    target = self._file_links if entry.is_symlink() else self.files
                    target.append(WalkedFile(path, name, status))
                elif entry.is_symlink():
                    heapq.heappush(self._folder_links, (name, path))
                else:
                    yield path, f"{name}/"
                continue
            problem = _find_file_problem(path, status)
            if problem is not None:
                self.problems.append(problem)
            else:
                target = self._file_links if entry.is_symlink() else self.files
                target.append(WalkedFile(path, name, status))

    def _add_linked_files(self) -> None:
        known = {identify(file.status) for file in self.files}
        for file in sorted(self._file_links, key=lambda file: file.name):
            if identify(file.status) not in known:
                known.add(identify(file.status))
                self.files.append(file)


def _leads_back(link: Path) -> bool:
    """Return whether a link leads to a folder that it was reached through."""
    target = link.resolve()
    return any(parent.resolve() == target for parent in link.parents)


def identify(status: os.stat_result) -> Identity:
    """Return what is the same for all paths to one file or folder."""
    return status.st_dev, status.st_ino


def explain_os_error(path: Path, error: OSError) -> Problem:
    """Explain why there is nothing to read at a path."""
    kind = "data.file"
    if error.errno in (errno.ENOENT, errno.ELOOP) and path.is_symlink():
        target = os.readlink(path)  # noqa: PTH115 - a Path would hide how it is written
        what = f"is a link to {target}, where there is nothing"
        if error.errno == errno.ELOOP:
            what = f"is a link to {target}, which leads back to it"
        return Problem(str(path), "", what, "mend the link, or remove it", kind=kind)
    if error.errno == errno.ENOENT:
        return Problem(str(path), "", "there is no such file", "check the path", kind=kind)
    what = f"cannot be read ({error.strerror})"
    return Problem(str(path), "", what, "make it readable, or move it elsewhere", kind=kind)


def _find_file_problem(path: Path, status: os.stat_result) -> Problem | None:
    """Return why a file of a folder cannot be read, without reading it."""
    if not stat.S_ISREG(status.st_mode):
        what = "is neither a file nor a folder, but a pipe, a socket or a device"
        return Problem(str(path), "", what, "move it elsewhere", kind="data.file")
    if not os.access(path, os.R_OK):
        error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return explain_os_error(path, error)
    return None
