"""Find the tables of a folder of Hugging Face's `datasets`, without that package."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from mypt.plugins import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.plugins import SourceFile

DEFAULT_SPLIT = "train"
_STATE, _SPLITS = "state.json", "dataset_dict.json"
_SHARD = re.compile(r"(?P<split>[\w.-]+?)-\d{5}-of-\d{5}(-[0-9a-f]+)?\.parquet")
_BESIDE = re.compile(r"\..*|README.*|LICEN[CS]E.*|.*\.(json|md|py|ya?ml)", re.IGNORECASE)


def is_dataset_folder(file: SourceFile) -> bool:
    """Return whether a folder is one that `save_to_disk` wrote, or one of Parquet shards."""
    if not file.is_folder:
        return False
    root = _find_snapshot(file.path)
    if (root / _SPLITS).is_file() or _is_saved(root):
        return True
    return bool(_find_shard_folders(root))


def find_tables(folder: Path, split: str | None) -> list[Path]:
    """Return the files of a split, in order.

    Args:
        folder: The folder.
        split: The split; None for `train`, or for the only one.

    Raises:
        DataError: There is no such split, or the folder is damaged.
    """
    root = _find_snapshot(folder)
    if (root / _SPLITS).is_file():
        names = _read_json(root / _SPLITS).get("splits")
        if not isinstance(names, list):
            _raise_error(root / _SPLITS, "does not list the splits", "save the data set again")
        chosen = _choose({name: [root / str(name)] for name in names}, split, folder)
        return [table for place in chosen for table in _list_saved(place)]
    if _is_saved(root):
        if split is not None:
            _raise_error(folder, "has no splits, but is one", "leave the option `split` out")
        return _list_saved(root)
    places = _find_shard_folders(root)
    if len(places) > 1:
        there = ", ".join(place.name for place in places)
        _raise_error(folder, f"holds several data sets: {there}", "name the folder of one of them")
    return _choose(_list_shards(places[0]), split, folder)


def _find_snapshot(folder: Path) -> Path:
    """Return the version that a folder of the hub's cache refers to; otherwise the folder."""
    reference = folder / "refs" / "main"
    if not reference.is_file():
        return folder
    found = folder / "snapshots" / reference.read_text(encoding="utf-8").strip()
    return found if found.is_dir() else folder


def _is_saved(folder: Path) -> bool:
    return (folder / _STATE).is_file() and (folder / "dataset_info.json").is_file()


def _list_saved(folder: Path) -> list[Path]:
    """Return the files of a data set that `save_to_disk` wrote."""
    files = _read_json(folder / _STATE).get("_data_files")
    if not isinstance(files, list) or not all(_names_file(one) for one in files):
        _raise_error(folder / _STATE, "does not list the data files", "save the data set again")
    return [folder / one["filename"] for one in files]


def _names_file(entry: Any) -> bool:
    name = entry.get("filename") if isinstance(entry, dict) else None
    return isinstance(name, str) and "/" not in name and "\\" not in name


def _find_shard_folders(root: Path) -> list[Path]:
    """Return the folder itself, or those in it, if they hold nothing but shards."""
    if _list_shards(root):
        return [root] if _holds_nothing_else(root) else []
    if not _holds_nothing_else(root):
        return []
    inner = sorted(one for one in root.iterdir() if one.is_dir() and not one.name.startswith("."))
    found = [one for one in inner if _list_shards(one) and _holds_nothing_else(one)]
    return found if found == inner else []


def _list_shards(folder: Path) -> dict[str, list[Path]]:
    """Return the shards in a folder, by split."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        shard = _SHARD.fullmatch(path.name)
        if shard is not None:
            found.setdefault(shard["split"], []).append(path)
    return found


def _holds_nothing_else(folder: Path) -> bool:
    files = (path.name for path in folder.iterdir() if not path.is_dir())
    return all(_SHARD.fullmatch(name) or _BESIDE.fullmatch(name) for name in files)


def _choose(splits: Mapping[str, list[Path]], split: str | None, folder: Path) -> list[Path]:
    if split is None:
        only = next(iter(splits)) if len(splits) == 1 else DEFAULT_SPLIT
        split = DEFAULT_SPLIT if DEFAULT_SPLIT in splits else only
    if split not in splits:
        there = ", ".join(splits) or "none"
        example = "--data_options '" + '{"split": "' + next(iter(splits), "NAME") + "\"}'"
        _raise_error(folder, f"has no split `{split}`; it has: {there}", f"name one: {example}")
    return splits[split]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        document = None
    except OSError as error:
        _raise_error(path, f"cannot be read ({error.strerror})", "save the data set again")
    if not isinstance(document, dict):
        _raise_error(path, "is not a JSON object", "save the data set again")
    return document


def _raise_error(path: Path, what: str, fix: str) -> NoReturn:
    raise DataError(Problem(str(path), "", what, fix, kind="data.text"))
