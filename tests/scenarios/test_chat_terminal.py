"""`mypt chat` in a real terminal: Ctrl-C ends an answer, Ctrl-D the conversation."""

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


class Screen:
    """What a process shows on a terminal, and the keys that are pressed there."""

    def __init__(self, master):
        self._master, self.shown = master, ""

    def wait_for(self, text, seconds=60):
        """Read until a text is shown; what was shown up to its end is forgotten."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self._master], [], [], 1)[0]:
                self.shown += os.read(self._master, 4096).decode("utf-8", "replace")
        before, _, self.shown = self.shown.partition(text)
        return before

    def wait_for_more(self):
        """Read until an answer has begun."""
        while not self.shown.strip():
            self.shown += os.read(self._master, 4096).decode("utf-8", "replace")

    def press_until(self, keys, text):
        """Press keys again each second until a text is shown: a prompt takes none at once."""
        while text not in self.shown:
            self.press(keys)
            if select.select([self._master], [], [], 1)[0]:
                self.shown += os.read(self._master, 4096).decode("utf-8", "replace")
        self.wait_for(text)

    def press(self, keys):
        os.write(self._master, keys.encode())


@pytest.fixture
def talk(tmp_path):
    """Start `mypt chat` with a model whose answers do not end; gives process and screen."""
    make_talker(block_size=4096).save(tmp_path / "endless")
    master, slave = pty.openpty()
    arguments = ("chat", "endless", "--temperature", "0", "--max_new_tokens", "1000000")
    process = subprocess.Popen(
        [sys.executable, "-m", "mypt", *arguments],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "TERM": "dumb", "PYTHONWARNINGS": "ignore"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(slave)
    yield process, Screen(master)
    process.kill()
    process.wait()
    os.close(master)


def test_an_answer_ends_by_ctrl_c_and_a_conversation_by_ctrl_d(talk):
    process, screen = talk
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
    screen.press("\x03")
    screen.wait_for("\n> ")
    screen.press("/history\n")
    assert "1> Hi there!" in screen.wait_for("\n> ")
    screen.press_until("\x03", "\n> ")  # with nothing to end
    for _ in range(60):
        screen.press("\x04")
        with suppress(subprocess.TimeoutExpired):
            assert process.wait(1) == 0
            return
    pytest.fail("it does not end")
