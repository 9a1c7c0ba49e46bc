"""What Ctrl-C ends, and what it leaves alone."""

import os
import signal

import pytest

from mypt.cli.generation.ctrl_c import CtrlC

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a process of Windows cannot send it")


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_it_ends_what_may_be_ended():
    ctrl_c, ended = CtrlC(), False
    with ctrl_c.handled():
        try:
            with ctrl_c.ends():
                press()
        except KeyboardInterrupt:
            ended = True
    assert ended


def test_a_second_one_is_kept_from_what_follows_the_first():
    ctrl_c, followed = CtrlC(), []
    with ctrl_c.handled():
        try:
            with ctrl_c.ends():
                press()
        except KeyboardInterrupt:
            press()
            followed.append("taken")
        finally:
            press()
            followed.append("closed")
    assert followed == ["taken", "closed"]


def test_it_is_kept_from_all_else():
    with CtrlC().handled():
        press()


def test_who_had_it_before_has_it_again_afterwards():
    before = signal.getsignal(signal.SIGINT)
    with CtrlC().handled():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
