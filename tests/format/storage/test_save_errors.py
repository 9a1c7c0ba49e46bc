import errno
import os
from pathlib import Path

import pytest

from mypt.format.errors import SaveError
from mypt.format.storage.save_errors import make_save_error, raising_save_errors


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("ENOSPC", "free space on that disk"),
        ("EDQUOT", "free space within your quota"),
        ("EACCES", "give yourself permission to write there"),
        ("EROFS", "choose a place that can be written"),
        ("EIO", "check that disk"),
        ("ENOTDIR", "check that place and its disk"),
    ],
)
def test_the_path_the_reason_and_what_to_do_are_one_line(name, fix):
    number = getattr(errno, name)
    error = OSError(number, os.strerror(number))
    assert str(make_save_error(Path("out"), error)) == (
        f"out: could not be written: {os.strerror(number)}; {fix}, then run the same command again"
    )
    assert str(make_save_error(Path("out"), error, "; all is well")).endswith(f"{fix}; all is well")


def test_only_errors_of_the_system_are_converted():
    with (
        pytest.raises(SaveError, match="out: could not be written: oh"),
        raising_save_errors(Path("out")),
    ):
        raise OSError("oh")
    with pytest.raises(ValueError, match="oh"), raising_save_errors(Path("out")):
        raise ValueError("oh")
