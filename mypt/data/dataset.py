"""Read the data sets that `mypt data`, and MyPT's tools before it, prepared.

```
dataset_dir/
  train/shard_00000.bin ...  little-endian ids without a header
  val/shard_000NN.bin ...
  tokenizer_state.json       what the ids mean
  dataset_metadata.json      dtype of the ids (uint32 if not stated), counts, digests
```

Instead of shards, `train/` and `val/` may hold episodes (see `mypt.data.batches.episodes`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from attrs import frozen

from mypt.data.metadata import read_metadata
from mypt.format.errors import DataError, FormatError, Problem
from mypt.format.schema import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Ids = NDArray[np.unsignedinteger[Any]]

STATE_FILE = "tokenizer_state.json"
INDEX_FILE = "episodes.idx"
TOKENS_FILE = "tokens.bin"
MASK_FILE = "mask.bin"
# A preparation never overwrites what is in its folder, so preparing again alone is not enough.
PREPARE_AGAIN = "remove the data set's folder and prepare the data again"
_WEIGHTS_FILE = "mask_weighted.bin"
_ITEM_NAMES = {
    "<u2": "2-byte ids",
    "<u4": "4-byte ids",
    "<u8": "numbers",
    "<f4": "weights",
    "u1": "",
}


@frozen(eq=False)
class EpisodeArrays:
    """The episodes of one folder.

    Attributes:
        tokens: (N,) uint16 or uint32.
        spans: (E, 2) int64: the first token of each episode, and its number of tokens.
        mask: (N,) uint8 or float32, the weight of each token as a target; None if all count.
    """

    tokens: Ids
    spans: NDArray[np.int64]
    mask: NDArray[Any] | None


def has_episodes(folder: str | Path) -> bool:
    """Return whether a data set holds episodes rather than a token stream."""
    root = Path(folder)
    return any(_list_episode_folders(place) for place in (root / "train", root / "val", root))


def list_data_files(folder: str | Path, *, eval_only: bool = False) -> dict[str, list[str]]:
    """List the files of a data set by split, relative to its folder."""
    root = Path(folder)
    read = _list_episode_files if has_episodes(root) else _list_shard_files
    return {
        split: [path.relative_to(root).as_posix() for path in read(place)]
        for split, place in _split_folders(root, eval_only=eval_only).items()
    }


def read_shards(folder: str | Path, *, eval_only: bool = False) -> dict[str, list[Ids]]:
    """Map the shards of a data set into memory; nothing is read until it is used.

    Args:
        folder: The data set.
        eval_only: Return only "val", which may then also lie in the folder itself.

    Returns:
        By split ("train" and "val"), the shards in the order of their file names, (N,) uint16 or
        uint32 each.

    Raises:
        DataError: A folder is missing or holds no shards, or a file is not a shard.
    """
    places = _split_folders(Path(folder), eval_only=eval_only)
    dtype = _read_dtype(folder)
    return {split: _read_split(place, dtype) for split, place in places.items()}


def read_episodes(folder: str | Path, *, eval_only: bool = False) -> dict[str, list[EpisodeArrays]]:
    """Map the episodes of a data set into memory.

    Args:
        folder: The data set.
        eval_only: Return only "val", which may then also lie in the folder itself.

    Returns:
        By split, the episodes of each folder: the split's own, then its sub-folders by name.

    Raises:
        DataError: A folder is missing or holds no episodes, or its files are inconsistent.
    """
    places = _split_folders(Path(folder), eval_only=eval_only)
    dtype = _read_dtype(folder)
    return {split: _read_episode_split(place, dtype) for split, place in places.items()}


def read_tokenizer_state(folder: str | Path) -> dict[str, Any]:
    """Read the tokenizer of a data set, as the fields of `tokenizer.json`.

    Raises:
        DataError: The file is missing, is not JSON, or does not name a tokenizer.
    """
    file = Path(folder) / STATE_FILE
    _reject_file(Path(folder))
    try:
        state = strict_json.parse(file.read_bytes(), str(file))
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        _raise_data_error(file, what, "name the folder that `mypt data prepare` wrote")
    except FormatError as error:
        raise DataError(*error.problems) from error
    if not isinstance(state.get("token_kind"), str):
        _raise_data_error(
            file, "does not say which tokenizer it belongs to", "restore the field `token_kind`"
        )
    return state


def _reject_file(root: Path) -> None:
    if root.is_file():
        fix = "pass a text with --input_file, or name the folder of a data set"
        _raise_data_error(root, "is a file, not the folder of a data set", fix)


def _split_folders(root: Path, *, eval_only: bool) -> dict[str, Path]:
    _reject_file(root)
    if not root.is_dir():
        _raise_data_error(root, "there is no such folder", "check the path of the data set")
    if not eval_only:
        if (root / "val").is_dir() and not (root / "train").is_dir():
            fix = "train on another; use this with --eval_dataset_dir (in Python: eval_only=True)"
            _raise_data_error(root, "is a data set for evaluation only: it has no train/", fix)
        return {split: root / split for split in ("train", "val")}
    return {"val": root / "val" if (root / "val").is_dir() else root}


def _read_dtype(folder: str | Path) -> str:
    metadata = read_metadata(folder)
    return "<u4" if metadata is None else metadata.dtype


def _list_shard_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.bin") if not path.name.endswith("_mask.bin"))


def _read_split(folder: Path, dtype: str) -> list[Ids]:
    files = _list_shard_files(folder)
    if not files:
        fix = f"{PREPARE_AGAIN}, in shards small enough that each split has one"
        _raise_data_error(folder, "holds no token shards (*.bin)", fix)
    return [_map_array(file, dtype) for file in files]


def _list_episode_folders(folder: Path) -> list[Path]:
    """List the folders that hold a split's episodes; MyPT put the first in the split's own."""
    candidates = [folder, *sorted(folder.glob("shard_*"))]
    return [place for place in candidates if (place / INDEX_FILE).is_file()]


def _list_episode_files(folder: Path) -> Iterator[Path]:
    for place in _list_episode_folders(folder):
        names = (TOKENS_FILE, INDEX_FILE, _find_mask_name(place))
        yield from (place / name for name in names if name is not None)


def _find_mask_name(folder: Path) -> str | None:
    names = (_WEIGHTS_FILE, MASK_FILE)
    return next((name for name in names if (folder / name).exists()), None)


def _read_episode_split(folder: Path, dtype: str) -> list[EpisodeArrays]:
    folders = _list_episode_folders(folder)
    if not folders:
        _raise_data_error(folder, f"holds no episodes ({INDEX_FILE})", PREPARE_AGAIN)
    return [_read_episode_folder(place, dtype) for place in folders]


def _read_episode_folder(folder: Path, dtype: str) -> EpisodeArrays:
    tokens = _map_array(folder / TOKENS_FILE, dtype)
    numbers = _map_array(folder / INDEX_FILE, "<u8")
    if len(numbers) % 2:
        _raise_data_error(folder / INDEX_FILE, "does not hold pairs of numbers", PREPARE_AGAIN)
    spans = numbers.reshape(-1, 2)
    starts, lengths, end = spans[:, 0], spans[:, 1], np.uint64(len(tokens))
    if ((lengths > end) | (starts > end - np.minimum(lengths, end))).any():
        what = f"has an episode beyond the {len(tokens)} tokens of {TOKENS_FILE}"
        _raise_data_error(folder / INDEX_FILE, what, PREPARE_AGAIN)
    name = _find_mask_name(folder)
    mask = None
    if name is not None:
        mask = _map_array(folder / name, "<f4" if name == _WEIGHTS_FILE else "u1")
        if len(mask) != len(tokens):
            what = f"has {len(mask)} weights for {len(tokens)} tokens"
            _raise_data_error(folder / name, what, PREPARE_AGAIN)
    return EpisodeArrays(tokens, spans.astype(np.int64), mask)


def _map_array(file: Path, dtype: str) -> NDArray[Any]:
    item_bytes = np.dtype(dtype).itemsize
    try:
        size_bytes = file.stat().st_size
        if size_bytes % item_bytes:
            what = f"has {size_bytes} bytes, which is not a whole number of {_ITEM_NAMES[dtype]}"
            _raise_data_error(file, what, PREPARE_AGAIN)
        if size_bytes == 0:  # which cannot be mapped
            return np.empty(0, dtype)
        return np.memmap(file, dtype=dtype, mode="r")
    except OSError as error:
        _raise_data_error(
            file, f"cannot be read ({error.strerror})", "check it and its permissions"
        )


def _raise_data_error(place: Path, what: str, fix: str) -> NoReturn:
    raise DataError(Problem(str(place), "", what, fix, kind="data.shards"))
