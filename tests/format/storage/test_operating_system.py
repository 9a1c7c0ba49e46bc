"""What the disk does not do is said, but for what a file system never does."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mypt.format.storage.operating_system import is_running, sync_file, sync_folder


def open_files():
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize(("number", "is_told"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_syncs_no_folders_is_written_to_all_the_same(
    tmp_path, monkeypatch, number, is_told
):
    def refuse(_):
        raise OSError(number, os.strerror(number))

    before = open_files()
    monkeypatch.setattr(os, "fsync", refuse)
    if is_told:
        with pytest.raises(OSError, match=os.strerror(number)):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)
    assert open_files() == before


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS asks the drive in another way")
def test_a_file_that_does_not_reach_the_disk_is_told_of(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(os, "fsync", refuse)
    with (tmp_path / "x").open("wb") as stream, pytest.raises(OSError, match="no"):
        sync_file(stream.fileno())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows it in /proc")
def test_a_process_that_nobody_has_asked_how_it_ended_does_not_run():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert is_running(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_running(process.pid)
    assert is_running(os.getpid())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows it in /proc")
def test_a_process_runs_as_long_as_one_of_its_threads_does():
    code = (
        "import ctypes, threading, time\n"
        "other = lambda: (time.sleep(0.2), print('', flush=True), input())\n"
        "threading.Thread(target=other).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.readline()
        assert is_running(process.pid)
        process.kill()
