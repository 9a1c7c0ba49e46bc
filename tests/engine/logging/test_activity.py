import io

from rich.console import Console

from mypt.engine.logging.activity import show_activity, tell_pipe


def terminal(stream):
    return Console(file=stream, force_terminal=True, width=80)


def test_a_terminal_sees_what_is_done_until_it_is():
    stream = io.StringIO()
    with show_activity("Reading the data", console=terminal(stream)):
        pass
    assert "Reading the data" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2K")  # the line is cleared


def test_a_pipe_sees_nothing_that_moves():
    stream = io.StringIO()
    with show_activity("Reading the data", console=Console(file=stream)):
        pass
    tell_pipe("Tokenizing", console=terminal(stream))
    assert stream.getvalue() == ""
    tell_pipe("Tokenizing", console=Console(file=stream))
    assert stream.getvalue() == "Tokenizing\n"


def test_what_is_quiet_shows_nothing():
    stream = io.StringIO()
    with show_activity("Reading the data", quiet=True, console=terminal(stream)):
        tell_pipe("Tokenizing", quiet=True, console=Console(file=stream))
    assert stream.getvalue() == ""
