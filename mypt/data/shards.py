"""Read the folders of token shards that MyPT's tools prepared.

```
dataset_dir/
  train/shard_00000.bin ...  little-endian uint32 without a header
  val/shard_000NN.bin ...
  tokenizer_state.json       what the ids mean
  dataset_metadata.json      counts and provenance; nothing here needs it
```
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from mypt.format import jsonfile
from mypt.format.errors import DataError, FormatError, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATE_FILE = "tokenizer_state.json"
_ID_BYTES = 4


def read_shards(
    folder: str | Path, *, eval_only: bool = False
) -> dict[str, list[NDArray[np.uint32]]]:
    """Map the shards of a data set into memory; nothing is read before it is used.

    Args:
        folder: The data set.
        eval_only: Give only "val", which may then also lie in the folder itself.

    Returns:
        By split ("train" and "val"), each shard in the order of the file names, (N,) uint32.

    Raises:
        DataError: A folder is missing or without shards, or a file is no shard.
    """
    root = Path(folder)
    if not root.is_dir():
        _refuse(root, "there is no such folder", "check the path of the data set")
    if not eval_only:
        return {split: _read_split(root / split) for split in ("train", "val")}
    return {"val": _read_split(root / "val" if (root / "val").is_dir() else root)}


def read_tokenizer_state(folder: str | Path) -> dict[str, Any]:
    """Read what the ids of a data set mean, as the fields of `tokenizer.json`.

    Raises:
        DataError: The file is missing, no JSON, or names no tokenizer.
    """
    file = Path(folder) / STATE_FILE
    try:
        state = jsonfile.parse(file.read_bytes(), str(file))
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        _refuse(file, what, "name the folder that the preparation of the data wrote")
    except FormatError as error:
        raise DataError(*error.problems) from error
    if not isinstance(state.get("token_kind"), str):
        _refuse(file, "does not say which tokenizer it is of", "restore the field `token_kind`")
    return state


def _read_split(folder: Path) -> list[NDArray[np.uint32]]:
    if (folder / "episodes.idx").exists():
        _refuse(folder, "holds episodes for fine-tuning, not a stream of tokens", "name another")
    files = sorted(path for path in folder.glob("*.bin") if not path.name.endswith("_mask.bin"))
    if not files:
        fix = "prepare the data again, in shards small enough that each split has one"
        _refuse(folder, "holds no token shards (*.bin)", fix)
    return [_map(file) for file in files]


def _map(file: Path) -> NDArray[np.uint32]:
    size_bytes = file.stat().st_size
    if size_bytes % _ID_BYTES:
        what = f"has {size_bytes} bytes, which is no whole number of 4-byte ids"
        _refuse(file, what, "prepare the data again")
    if size_bytes == 0:  # which cannot be mapped
        return np.empty(0, "<u4")
    try:
        return np.memmap(file, dtype="<u4", mode="r")
    except OSError as error:
        _refuse(file, f"cannot be read ({error.strerror})", "check its permissions")


def _refuse(place: Path, what: str, fix: str) -> NoReturn:
    raise DataError(Problem(str(place), "", what, fix, kind="data.shards"))
