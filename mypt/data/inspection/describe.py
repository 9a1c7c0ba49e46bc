"""Describe and check a data set without a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.data.batches.episodes import EpisodeSource
from mypt.data.dataset import (
    find_tokenizer_state,
    has_episodes,
    is_eval_only,
    list_data_files,
    read_episodes,
    read_shards,
)
from mypt.data.inspection.conversations import describe_conversations
from mypt.data.metadata import METADATA_FILE, STATE_FILE, read_metadata
from mypt.data.token_files.array_file import PREPARE_AGAIN
from mypt.format.errors import Problem
from mypt.format.schema import strict_json
from mypt.format.storage.files import TOKENIZER, digest_file, is_folder, is_present, is_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypt.data.metadata import DataFile, Metadata

_COPY_AGAIN = f"copy it again, or {PREPARE_AGAIN}"


def describe_dataset(folder: str | Path, block_size: int | None = None) -> dict[str, Any]:
    """Describe what a data set holds, from the sizes of its files and the masks of episodes.

    Args:
        folder: The data set.
        block_size: That of a model, by which conversations are counted that are longer.

    Returns:
        `kind` ("tokens", "episodes" or "preferences", whose answers are episodes too); `tokens`,
        `files` and, for episodes, `episodes` and `least_block_size`, at which all that have a
        target are learnt from, by split, and `conversations` (see `describe_conversations`);
        `dtype`; `tokenizer` and `metadata` (each None if absent).

    Raises:
        DataError: It cannot be read, or has no validation split.
    """
    root = Path(folder)
    eval_only = is_eval_only(root)
    metadata = read_metadata(root)
    about: dict[str, Any] = {"folder": str(folder)}
    if is_folder(root) and has_episodes(root):
        sources = _open_episodes(root)
        paired = any(p.reference is not None for s in sources.values() for p in s.parts)
        about["kind"] = "preferences" if paired else "episodes"
        about["episodes"] = {split: source.episodes for split, source in sources.items()}
        about["least_block_size"] = {s: int(o.reaches.max(initial=0)) for s, o in sources.items()}
        about["conversations"] = describe_conversations(sources.values(), block_size)
        arrays = {s: [part.tokens for part in source.parts] for s, source in sources.items()}
    else:
        about["kind"] = "tokens"
        arrays = read_shards(root, eval_only=eval_only)
    about["tokens"] = {split: sum(map(len, parts)) for split, parts in arrays.items()}
    about["files"] = list_data_files(root, eval_only=eval_only)
    about["dtype"] = next(iter(arrays["val"])).dtype.name
    found = find_tokenizer_state(root)
    about["tokenizer"] = None if found is None else found[1]
    about["metadata"] = None if metadata is None else dict(metadata.document)
    return about


def find_left_out(folder: str | Path, block_size: int | None = None) -> list[Problem]:
    """Return a warning for each split with episodes that no model would learn from.

    Args:
        folder: The data set.
        block_size: That of the model; None counts the episodes without any target.
    """
    root = Path(folder)
    sources = _open_episodes(root) if has_episodes(root) else {}
    fix = "training leaves them out; correct them, or use a larger block_size where that helps"
    return [
        Problem(str(root / split), "", why, fix, kind="data.targets", severity="warning")
        for split, source in sources.items()
        if (why := source.explain_left_out(block_size)) is not None
    ]


def check_dataset(folder: str | Path, *, checksums: bool) -> list[Problem]:
    """Compare the files of a data set with its metadata.

    Args:
        folder: The data set.
        checksums: Also compare digests, which reads every file.

    Returns:
        The problems found; a note if there is nothing to compare with.
    """
    root = Path(folder)
    metadata = read_metadata(root)
    if metadata is None or not metadata.files:
        what = f"has no {METADATA_FILE} by mypt, so its files cannot be checked"
        fix = "nothing needs to be done; opening it takes a pass over all tokens"
        return [Problem(str(folder), "", what, fix, kind="data.unrecorded", severity="note")]
    return [
        *find_changed_files(root, metadata.files, checksums=checksums),
        *_find_unlisted_files(root, metadata),
        *_find_other_tokenizer(root),
    ]


def _open_episodes(root: Path) -> dict[str, EpisodeSource]:
    episodes = read_episodes(root, eval_only=is_eval_only(root))
    return {split: EpisodeSource(parts) for split, parts in episodes.items()}


def find_changed_files(root: Path, files: Iterable[DataFile], *, checksums: bool) -> list[Problem]:
    """Compare files with their records.

    Args:
        root: The folder that they are in.
        files: The records.
        checksums: Also compare digests, which reads every file.
    """
    problems = []
    for file in files:
        path, fix = root / file.name, _COPY_AGAIN
        if not is_regular_file(path):
            problems.append(Problem(str(path), "", "is missing", fix, kind="data.file"))
        elif path.stat().st_size != file.size_bytes:
            what = f"has {path.stat().st_size} bytes instead of {file.size_bytes}"
            problems.append(Problem(str(path), "", what, fix, kind="data.file"))
        elif checksums and digest_file(path, str(path)) != file.sha256:
            what = "has a different SHA-256 than the metadata says"
            problems.append(Problem(str(path), "", what, fix, kind="data.file"))
        elif not file.is_unchanged(root):
            what = "has a different modification time than the metadata says, as after a copy"
            fix = "nothing needs to be done; opening the data set takes a pass over all tokens"
            note = Problem(str(path), "", what, fix, kind="data.time", severity="note")
            problems.append(note)
    return problems


def _find_unlisted_files(root: Path, metadata: Metadata) -> list[Problem]:
    known = {file.name for file in metadata.files}
    files = list_data_files(root, eval_only=is_eval_only(root))
    there = [name for names in files.values() for name in names]
    return [
        Problem(str(root / name), "", "is not in the metadata", "remove it", kind="data.file")
        for name in there
        if name not in known
    ]


def _find_other_tokenizer(root: Path) -> list[Problem]:
    """Return a problem where the two files that may name the tokenizer differ."""
    both = root / STATE_FILE, root / TOKENIZER
    if not all(is_present(path) for path in both):
        return []
    theirs, ours = (strict_json.parse(path.read_bytes(), str(path)) for path in both)
    ours.pop("format_version", None)
    if theirs == ours:
        return []
    what = f"differs from {TOKENIZER}, which is the one that counts"
    fix = "write the same into both"
    return [Problem(str(both[0]), "", what, fix, kind="data.tokenizer", severity="warning")]
