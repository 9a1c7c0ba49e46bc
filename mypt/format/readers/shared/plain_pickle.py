"""Read pickles of plain values alone, such as nanoGPT's `meta.pkl`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.storage.files import open_regular
from mypt.format.storage.mistaken import START_BYTES, explain_start
from mypt.format.tensors.pickles.foreign_pickle import read_foreign_pickle

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

# A table of all characters of Unicode fits many times.
MAX_BYTES = 8 * 1024 * 1024


def read_plain_pickle(path: Path, file: str, *, states_of: Collection[str] = ()) -> dict[Any, Any]:
    """Read a pickle that holds a dict, without building what is in it.

    Args:
        path: The file.
        file: Its name, for messages.
        states_of: Classes of which it may hold objects, such as `tiktoken.core.Encoding`; in the
            place of one stands the dict of its attributes.

    Raises:
        FormatError: It holds anything else, an object of another class or a tensor; it is
            damaged or too large.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _make_pickle_error(file, f"is larger than {MAX_BYTES} bytes")
    if problem := explain_start(data[:START_BYTES], file, "pickle"):
        raise FormatError(problem)
    value, storages = read_foreign_pickle(data, file, states_of=states_of)
    if not isinstance(value, dict) or storages:
        raise _make_pickle_error(file, "does not hold a dict of plain values")
    return value


def _make_pickle_error(file: str, what: str) -> FormatError:
    return FormatError(Problem(file, "", what, "name the right file", kind="pickle"))
