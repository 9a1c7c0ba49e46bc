"""Read the data sets that `mypt data`, and MyPT's tools before it, prepared.

```
dataset_dir/
  train/shard_00000.bin ...  little-endian ids without a header
  val/shard_000NN.bin ...
  tokenizer_state.json       what the ids mean; of episodes also as tokenizer.json, which counts
  dataset_metadata.json      dtype of the ids (uint32 if not stated), counts, digests
```

Instead of shards, `train/` and `val/` may hold episodes (see `mypt.data.batches.episodes`). For the
data sets of other programs see `mypt.data.token_files.other_programs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from mypt.data.metadata import METADATA_FILE, STATE_FILE, check_whole, read_metadata
from mypt.data.token_files import other_programs
from mypt.data.token_files.array_file import PREPARE_AGAIN, map_array, raise_data_error
from mypt.data.token_files.shard import explain_high_ids, map_unrecorded_ids
from mypt.format.bundle.detect import classify
from mypt.format.documents.tokenizer import TEXT_FIELDS
from mypt.format.documents.vocabulary import pick_text_fields
from mypt.format.errors import DataError, FormatError, Problem
from mypt.format.rules.requirements import REQUIRES, feature_problems
from mypt.format.schema import strict_json
from mypt.format.schema.check import check_document
from mypt.format.storage.files import TOKENIZER, is_folder, is_present, is_regular_file
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mypt.format.documents.tokenizer import TokenizerState

    Ids = NDArray[np.unsignedinteger[Any]]

INDEX_FILE = "episodes.idx"
TOKENS_FILE = "tokens.bin"
MASK_FILE = "mask.bin"
REFERENCE_FILE = "reference.bin"
_DTYPE = "<u4"  # of the ids of a data set without metadata by mypt
WEIGHTS_FILE = "mask_weighted.bin"


@frozen(eq=False)
class EpisodeArrays:
    """The episodes of one folder.

    Attributes:
        tokens: (N,) uint16 or uint32.
        spans: (E, 2) int64: the first token of each episode, and its number of tokens.
        mask: (N,) uint8 or float32, the weight of each token as a target; None if all count.
        reference: (E,) float32, the log-likelihood of the targets of each episode to the model that
            preferences are compared with, in nats; None where episodes are no pairs of answers.
    """

    tokens: Ids
    spans: NDArray[np.int64]
    mask: NDArray[Any] | None
    reference: NDArray[np.float32] | None = None


def is_dataset(folder: str | Path) -> bool:
    """Return whether a path is the folder of a prepared data set, by mypt or another program."""
    root = Path(folder)
    if not is_folder(root):
        return False
    named = is_regular_file(root / STATE_FILE) or is_regular_file(root / METADATA_FILE)
    return named or has_episodes(root) or other_programs.find_split_files(root) is not None


def has_episodes(folder: str | Path) -> bool:
    """Return whether a data set holds episodes rather than a token stream."""
    root = Path(folder)
    return any(_list_episode_folders(place) for place in (root / "train", root / "val", root))


def list_data_files(folder: str | Path, *, eval_only: bool = False) -> dict[str, list[str]]:
    """List the files of a data set by split, relative to its folder."""
    root = Path(folder)
    if has_episodes(root):
        places = _split_folders(root, eval_only=eval_only)
        found = {split: list(_list_episode_files(place)) for split, place in places.items()}
    else:
        found = _list_shard_files(root, eval_only=eval_only)
    return {
        split: [path.relative_to(root).as_posix() for path in paths]
        for split, paths in found.items()
    }


def is_eval_only(folder: str | Path) -> bool:
    """Return whether a data set has nothing to train on."""
    root = Path(folder)
    files = other_programs.find_split_files(root)
    return not is_folder(root / "train") if files is None else not files["train"]


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
    root = Path(folder)
    files, metadata = _list_shard_files(root, eval_only=eval_only), read_metadata(root)
    if metadata is not None:
        return {
            split: [map_array(path, metadata.dtype) for path in paths]
            for split, paths in files.items()
        }
    is_other = other_programs.find_split_files(root) is not None
    dtype = other_programs.DTYPE if is_other else _DTYPE
    return {
        split: [map_unrecorded_ids(path, dtype) for path in paths] for split, paths in files.items()
    }


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
        DataError: The file is missing, is not JSON, or does not name a tokenizer; or it requires a
            feature of a later version of the format.
    """
    root = Path(folder)
    _need_folder(root)
    files = other_programs.find_split_files(root)
    if files is None:
        file = _find_state_file(root)
        state = _read_state_file(file)
        unknown = feature_problems("tokenizer", state, str(file))
        if unknown:
            raise DataError(*unknown)
        return state
    return other_programs.read_characters(root) or other_programs.assume_tokenizer(files)


def read_text_rules(folder: str | Path) -> TokenizerState:
    """Read what a data set says of how texts are made of its tokens.

    Raises:
        DataError: As `read_tokenizer_state`, or a field is of the wrong type or out of range.
    """
    state, file = read_tokenizer_state(folder), str(_find_state_file(Path(folder)))
    found = check_document("tokenizer", {"format_version": FORMAT_VERSION, **state}, file)
    errors = [problem for problem in found if problem.severity == "error"]
    wrong = [p for p in errors if p.where.partition("/")[2].partition("/")[0] in TEXT_FIELDS]
    if wrong:
        raise DataError(*wrong)
    return pick_text_fields(state)


def find_tokenizer_state(folder: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the file that names the tokenizer of a data set, with its fields; None without one.

    Raises:
        DataError: The file is damaged, or does not name a tokenizer.
    """
    root = Path(folder)
    if is_present(file := _find_state_file(root)):
        return file, _read_state_file(file)
    if other_programs.find_split_files(root) is None:
        return None
    state = other_programs.read_characters(root)
    return None if state is None else (root / other_programs.META_FILE, state)


def check_assumed_tokenizer(folder: str | Path, token_kind: str, highest: int) -> None:
    """Raise if the ids of a data set that does not name its tokenizer cannot be of this kind.

    Args:
        folder: The data set.
        token_kind: The tokenizer that its ids are taken to be of.
        highest: The highest of the ids.

    Raises:
        DataError: They are of another.
    """
    root = Path(folder)
    if other_programs.find_split_files(root) is not None and find_tokenizer_state(root) is None:
        other_programs.check_assumption(root, token_kind, highest)


def find_wrong_ids(
    folder: str | Path, vocab_size: int, *, eval_only: bool = False
) -> Problem | None:
    """Find a file of token ids whose ids are beyond the vocabulary since they are of another kind.

    Args:
        folder: A data set with ids beyond the vocabulary.
        vocab_size: Number of ids of the vocabulary.
        eval_only: Look at "val" alone.
    """
    root = Path(folder)
    if read_metadata(root) is not None or has_episodes(root):
        return None
    files = _list_shard_files(root, eval_only=eval_only)
    for split, shards in read_shards(root, eval_only=eval_only).items():
        for path, ids in zip(files[split], shards, strict=True):
            explained = explain_high_ids(path, ids, vocab_size)
            if explained is not None:
                return Problem(str(path), "", *explained, kind="data.shards")
    return None


def _find_state_file(root: Path) -> Path:
    """Return the file that names the tokenizer, which may be absent.

    Beside metadata by mypt a `tokenizer.json` is mypt's; elsewhere it may be anybody's.
    """
    is_ours = is_present(root / METADATA_FILE) and is_present(root / TOKENIZER)
    return root / (TOKENIZER if is_ours else STATE_FILE)


def _read_state_file(file: Path) -> dict[str, Any]:
    try:
        state = strict_json.parse(file.read_bytes(), str(file))
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        fix = "name the folder that `mypt data prepare` wrote; texts and tables go to input_file"
        raise_data_error(file, what, fix)
    except FormatError as error:
        raise DataError(*error.problems) from error
    if not isinstance(state.get("token_kind"), str):
        raise_data_error(
            file, "does not say which tokenizer it belongs to", "restore the field `token_kind`"
        )
    if REQUIRES in state:  # of which more is asked here than what the tokenizer itself will check
        named = {"format_version": FORMAT_VERSION, "token_kind": "gpt2", REQUIRES: state[REQUIRES]}
        problems = check_document("tokenizer", named, str(file))
        if problems:
            raise DataError(*problems)
    return state


def _need_folder(root: Path) -> None:
    if is_regular_file(root):
        fix = "pass a text with --input_file, or name the folder of a data set"
        raise_data_error(root, "is a file, not the folder of a data set", fix)
    if not is_folder(root):
        raise_data_error(root, "there is no such folder", "check the path of the data set")
    if not is_dataset(root) and classify(root) in ("bundle", "version_1"):
        fix = f"name the folder that `mypt data prepare` wrote; of a model see: mypt inspect {root}"
        raise_data_error(root, "is a model, not a data set", fix)


def _split_folders(root: Path, *, eval_only: bool) -> dict[str, Path]:
    _need_folder(root)
    if not eval_only:
        if is_folder(root / "val") and not is_folder(root / "train"):
            fix = "train on another; use this with --eval_dataset_dir (in Python: eval_only=True)"
            raise_data_error(root, "is a data set for evaluation only: it has no train/", fix)
        return {split: root / split for split in ("train", "val")}
    return {"val": root / "val" if is_folder(root / "val") else root}


def _read_dtype(folder: str | Path) -> str:
    metadata = read_metadata(folder)
    return _DTYPE if metadata is None else metadata.dtype


def _list_shard_files(root: Path, *, eval_only: bool) -> dict[str, list[Path]]:
    """List the shards of each split, of which there is at least one."""
    _need_folder(root)
    check_whole(root)
    files = other_programs.find_split_files(root)
    if files is not None:
        wanted = ("val",) if eval_only else ("train", "val")
        for split in wanted:
            if not files[split]:
                there = ", ".join(path.name for paths in files.values() for path in paths)
                what = f"has no {split}.bin beside {there}"
                raise_data_error(root, what, f"name a folder that has {' and '.join(wanted)}")
        return {split: files[split] for split in wanted}
    places = _split_folders(root, eval_only=eval_only)
    return {split: _list_split_shards(place) for split, place in places.items()}


def _list_split_shards(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("*.bin") if not path.name.endswith("_mask.bin"))
    if not files:
        fix = f"{PREPARE_AGAIN}, in shards small enough that each split has one"
        raise_data_error(folder, "holds no token shards (*.bin)", fix)
    return files


def _list_episode_folders(folder: Path) -> list[Path]:
    """List the folders that hold a split's episodes; MyPT put the first in the split's own."""
    candidates = [folder, *sorted(folder.glob("shard_*"))]
    return [place for place in candidates if is_regular_file(place / INDEX_FILE)]


def _list_episode_files(folder: Path) -> Iterator[Path]:
    for place in _list_episode_folders(folder):
        names = [TOKENS_FILE, INDEX_FILE, _find_mask_name(place)]
        if is_regular_file(place / REFERENCE_FILE):
            names.append(REFERENCE_FILE)
        yield from (place / name for name in names if name is not None)


def _find_mask_name(folder: Path) -> str | None:
    names = (WEIGHTS_FILE, MASK_FILE)
    return next((name for name in names if is_present(folder / name)), None)


def _read_episode_split(folder: Path, dtype: str) -> list[EpisodeArrays]:
    folders = _list_episode_folders(folder)
    if not folders:
        raise_data_error(folder, f"holds no episodes ({INDEX_FILE})", PREPARE_AGAIN)
    return [_read_episode_folder(place, dtype) for place in folders]


def _read_episode_folder(folder: Path, dtype: str) -> EpisodeArrays:
    tokens = map_array(folder / TOKENS_FILE, dtype)
    numbers = map_array(folder / INDEX_FILE, "<u8")
    if len(numbers) % 2:
        raise_data_error(folder / INDEX_FILE, "does not hold pairs of numbers", PREPARE_AGAIN)
    spans = numbers.reshape(-1, 2)
    starts, lengths, end = spans[:, 0], spans[:, 1], np.uint64(len(tokens))
    if ((lengths > end) | (starts > end - np.minimum(lengths, end))).any():
        what = f"has an episode beyond the {len(tokens)} tokens of {TOKENS_FILE}"
        raise_data_error(folder / INDEX_FILE, what, PREPARE_AGAIN)
    name = _find_mask_name(folder)
    mask = None
    if name is not None:
        mask = map_array(folder / name, "<f4" if name == WEIGHTS_FILE else "u1")
        if len(mask) != len(tokens):
            what = f"has {len(mask)} weights for {len(tokens)} tokens"
            raise_data_error(folder / name, what, PREPARE_AGAIN)
    reference = None
    if is_regular_file(folder / REFERENCE_FILE):
        reference = map_array(folder / REFERENCE_FILE, "<f4")
    return EpisodeArrays(tokens, spans.astype(np.int64), mask, reference)
