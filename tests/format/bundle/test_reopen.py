import pytest

from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.errors import FormatError, Problem
from mypt.format.storage.generations import CHANGING, TRIES


def failing(times, kind):
    """Give a function that raises a problem of a kind so many times, and its calls so far."""
    calls = []

    def read(value):
        calls.append(value)
        if len(calls) <= times:
            raise FormatError(Problem("m", "", "was saved anew", "open it again", kind=kind))
        return value

    return reopen_if_saved(read), calls


def test_what_is_saved_meanwhile_is_read_again():
    read, calls = failing(TRIES - 1, CHANGING)
    assert read(3) == 3
    assert len(calls) == TRIES


def test_what_never_settles_is_an_error_after_all_tries():
    read, calls = failing(TRIES, CHANGING)
    with pytest.raises(FormatError, match="m: was saved anew; open it again"):
        read(3)
    assert len(calls) == TRIES


def test_what_is_damaged_is_read_once():
    read, calls = failing(1, "digest")
    with pytest.raises(FormatError):
        read(3)
    assert len(calls) == 1
