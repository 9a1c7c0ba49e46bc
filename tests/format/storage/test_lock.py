import errno
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from mypt.format.errors import LockedError, SaveError
from mypt.format.storage.lock import LOCK_FILE, bundle_lock

HOLD = """
import sys
from pathlib import Path
from mypt.format.storage.lock import bundle_lock
with bundle_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path` until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_lock_file_names_its_holder_and_goes_with_it(tmp_path):
    with bundle_lock(tmp_path):
        owner = json.loads((tmp_path / LOCK_FILE).read_text())
        assert (owner["host"], owner["pid"]) == (socket.gethostname(), os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_is_refused_and_told_who_writes(tmp_path, holder):
    with pytest.raises(LockedError) as caught, bundle_lock(tmp_path):
        pass
    assert f"process {holder.pid} on {socket.gethostname()}" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert (tmp_path / LOCK_FILE).exists()


def test_a_second_writer_in_the_same_process_is_refused(tmp_path):
    with bundle_lock(tmp_path):
        with pytest.raises(LockedError), bundle_lock(tmp_path):
            pass
        with pytest.raises(LockedError), bundle_lock(tmp_path):
            pass


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with bundle_lock(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


def test_the_lock_is_free_after_a_holder_ended_well(tmp_path, holder):
    holder.communicate("")
    with bundle_lock(tmp_path):
        pass


def test_a_lock_file_with_any_text_is_no_obstacle(tmp_path):
    (tmp_path / LOCK_FILE).write_bytes(b"\xff" * 10_000)
    with bundle_lock(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


def test_a_link_in_the_place_of_the_lock_file_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / LOCK_FILE).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError), bundle_lock(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "text"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks_is_refused_unless_asked(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(number, os.strerror(number))

    with bundle_lock(tmp_path, no_lock=True) as warning:
        assert warning is None
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(SaveError, match=r"without locks .*--no_lock"):
        bundle_lock(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []
    with bundle_lock(tmp_path, no_lock=True) as warning:
        assert "without a lock" in warning
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_without_locks_the_file_that_a_dead_process_left_names_who_writes_now(
    tmp_path, monkeypatch
):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    left = {"host": socket.gethostname(), "pid": 4_000_000, "since": "2026-01-01T00:00:00+00:00"}
    (tmp_path / LOCK_FILE).write_text(json.dumps(left) + "\n")
    with bundle_lock(tmp_path, no_lock=True) as warning:
        assert "process 4000000" in warning
        assert json.loads((tmp_path / LOCK_FILE).read_bytes())["pid"] == os.getpid()


def test_many_writers_hold_it_one_at_a_time(tmp_path):
    inside, most, turns = 0, 0, 0

    def work():
        nonlocal inside, most, turns
        for _ in range(200):
            try:
                with bundle_lock(tmp_path):
                    inside += 1
                    most = max(most, inside)
                    turns += 1
                    inside -= 1
            except LockedError:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert turns > 0
