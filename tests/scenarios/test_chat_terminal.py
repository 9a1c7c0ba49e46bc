"""Sessions in a real terminal: Ctrl-C ends an answer or a text, Ctrl-D the session."""

import os
import select
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from tests.support.talking import make_talker

pty = pytest.importorskip("pty")  # Windows has none
pytest.importorskip("readline")

ENDLESS = ("--temperature", "0", "--max_new_tokens", "1000000")


class Screen:
    """What a process shows on a terminal, and the keys that are pressed there."""

    def __init__(self, master):
        self._master, self.shown = master, ""

    def wait_for(self, text, seconds=60):
        """Read until a text is shown; what was shown up to its end is forgotten."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            if time.monotonic() >= end:
                raise TimeoutError(self.shown)
            if select.select([self._master], [], [], 1)[0]:
                self.shown += os.read(self._master, 4096).decode("utf-8", "replace")
        before, _, self.shown = self.shown.partition(text)
        return before

    def wait_for_more(self):
        """Read until an answer has begun."""
        while not self.shown.strip():
            self.shown += os.read(self._master, 4096).decode("utf-8", "replace")

    def press(self, keys):
        os.write(self._master, keys.encode())

    def ask(self, line, text):
        """Type a line until a text is shown: a terminal drops what it has not read at Ctrl-C."""
        for _ in range(20):
            self.press(line)
            with suppress(TimeoutError):
                return self.wait_for(text, seconds=3)
        raise TimeoutError(self.shown)

    def press_often(self, keys):
        """Press them many times, some while the ones before are acted on."""
        for _ in range(50):
            self.press(keys)
            time.sleep(0.002)


@pytest.fixture
def start(tmp_path):
    """Start a command in a terminal, with a model whose texts do not end."""
    make_talker(block_size=4096).save(tmp_path / "endless")
    master, slave = pty.openpty()
    processes = []

    def started(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "mypt", *arguments, *ENDLESS],
            cwd=tmp_path,
            env={
                **os.environ,
                "HOME": str(tmp_path),
                "TERM": "dumb",
                "PYTHONWARNINGS": "ignore",
                "OMP_NUM_THREADS": "1",
            },
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        )
        os.close(slave)
        processes.append(process)
        return process, Screen(master)

    yield started
    for process in processes:
        process.kill()
        process.wait()
    os.close(master)


def assert_ends_by_ctrl_d(process, screen):
    for _ in range(60):
        screen.press("\x04")
        with suppress(subprocess.TimeoutExpired):
            assert process.wait(1) == 0
            return
    pytest.fail("it does not end")


def test_an_answer_ends_by_ctrl_c_and_a_conversation_by_ctrl_d(start):
    process, screen = start("chat", "endless")
    screen.wait_for("> ")
    screen.press("Hi there\n")
    screen.wait_for("Hi there\r\n")
    screen.wait_for_more()
    screen.press("\x03")
    screen.wait_for("\n> ")
    screen.press("/edit last\n")
    screen.wait_for("> Hi there")  # the question, to be changed
    screen.press("!\n")
    screen.wait_for("!\r\n")
    screen.wait_for_more()
    screen.press_often("\x03")
    screen.wait_for("\n> ")
    screen.ask("/history\n", "1> Hi there!")
    screen.wait_for("\n> ")
    screen.press_often("\x03")  # with nothing to end
    screen.wait_for("\n> ")
    assert_ends_by_ctrl_d(process, screen)


def test_a_text_ends_by_ctrl_c_too(start):
    process, screen = start("generate", "endless", "--interactive")
    screen.wait_for("> ")
    screen.press("Hi there\n")
    screen.wait_for("Hi there\r\n")
    screen.press_often("\x03")  # perhaps before it has begun
    screen.wait_for("\n> ")
    assert_ends_by_ctrl_d(process, screen)
