"""`mypt` in a process of its own, without the seconds that Python and torch take."""

import os
import signal
import sys
import traceback
import warnings
from functools import partial
from importlib import import_module
from pathlib import Path

from mypt.cli.main import mypt_group, run
from mypt.plugins.manager import load_plugins
from tests.support.processes.child import forked

# Imported before the first copy is taken, so that none has to do it.
for module in ("cli.commands.data", "cli.commands.generate", "cli.commands.train"):
    import_module(f"mypt.{module}")
import_module("mypt.engine.training.launch")  # and torch
load_plugins().load_all()

PATIENCE_S = 600  # for what hangs: the alarm ends it


class Command:
    """A copy of this process that runs `mypt` as a new one would, all warnings being errors.

    It cannot compile (`--compile`), which torch does in threads and processes of its own.

    Attributes:
        pid: Its number.
        said: Both of its streams, as text.
        code: Its exit code, once it has ended; a signal that ended it as a negative number.
    """

    def __init__(self, *words, cwd=".", env=None, arm=lambda: None):
        """Begin with the arguments of `mypt`; `arm` is called in the copy before it runs."""
        _let_ctrl_c(signal.SIG_BLOCK)  # until mypt runs: what is copied here would take it
        try:
            self.pid, self.said = forked(partial(_run, words, Path(cwd), env or {}, arm))
        finally:
            _let_ctrl_c(signal.SIG_UNBLOCK)
        self.code = None

    def send(self, number):
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self):
        """Wait for its end; give what it said and nobody has read yet."""
        with self.said:
            rest = self.said.read()
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return rest


def _let_ctrl_c(how):
    signal.pthread_sigmask(how, {signal.SIGINT})


def _run(words, cwd, env, arm, writer):
    """Run it in this process, which is used for nothing else; give its exit code."""
    for stream, descriptor in (("stdout", 1), ("stderr", 2)):
        os.dup2(writer, descriptor)
        setattr(sys, stream, os.fdopen(descriptor, "w", buffering=1, encoding="utf-8"))
    os.close(writer)
    signal.alarm(PATIENCE_S)
    os.environ.update(env)
    os.chdir(cwd)
    warnings.simplefilter("error")
    arm()
    try:
        _let_ctrl_c(signal.SIG_UNBLOCK)
        return run(mypt_group, "mypt", [str(word) for word in words])
    except SystemExit as end:
        return end.code
    except KeyboardInterrupt:  # as `mypt_lm.py` does
        sys.stderr.write("interrupted\n")
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
