"""Map a file of numbers into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# A preparation never overwrites what is in its folder, so preparing again alone is not enough.
PREPARE_AGAIN = "prepare the data again, into a new folder"
_ITEM_NAMES = {
    "<u2": "2-byte ids",
    "<u4": "4-byte ids",
    "<u8": "numbers",
    "<f4": "weights",
    "u1": "",
}


def map_array(path: Path, dtype: str, start: int = 0) -> NDArray[Any]:
    """Map the numbers of a file into memory; nothing is read until it is used.

    Args:
        path: The file.
        dtype: Numpy dtype of the numbers.
        start: Offset of the first in bytes.

    Returns:
        (N,), read-only.

    Raises:
        DataError: It cannot be read, or its size is no whole number of items.
    """
    item_bytes = np.dtype(dtype).itemsize
    try:
        size_bytes = path.stat().st_size
        if (size_bytes - start) % item_bytes:
            what = f"has {size_bytes} bytes, which is not a whole number of {_ITEM_NAMES[dtype]}"
            raise_data_error(path, what, PREPARE_AGAIN)
        if size_bytes <= start:  # which cannot be mapped
            return np.empty(0, dtype)
        return np.memmap(path, dtype=dtype, mode="r", offset=start)
    except OSError as error:
        raise_data_error(path, f"cannot be read ({error.strerror})", "check it and its permissions")


def raise_data_error(place: Path, what: str, fix: str) -> NoReturn:
    """Raise a `DataError` about a file or folder of a data set."""
    raise DataError(Problem(str(place), "", what, fix, kind="data.shards"))
