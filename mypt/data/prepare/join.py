"""Join the parts of a preparation into the data set that one machine would have prepared."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from mypt.data.inspection.describe import find_changed_files
from mypt.data.metadata import METADATA_FILE, PART_FILE, STATE_FILE, DataFile
from mypt.data.prepare.chats.new_dataset import check_absent, new_folder
from mypt.data.prepare.part import PartRecord
from mypt.data.prepare.shard_filler import DTYPES, describe_shards
from mypt.data.prepare.shard_writer import ShardWriter
from mypt.format.errors import DataError, Problem, limit_problems
from mypt.format.schema import strict_json
from mypt.format.storage.atomic_file import write_atomically
from mypt.format.storage.files import digest_file, is_regular_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Ids = NDArray[np.unsignedinteger[Any]]
    Report = Callable[[int, int], None]

_READ_BYTES = 1 << 22
_SPLITS = ("train", "val")  # in the order of their shards
_KIND = "data.part"
# What differs where the files are too many to be listed one by one.
_NAMES_OF_SETTINGS = {
    "inputs_sha256": "other files",
    "val_inputs_sha256": "other files to validate on",
}
_MOST_MISSING = 20  # that are named
_AGAIN = "copy the part again, or remove its folder and prepare it again"


@frozen
class _Found:
    """A part, and the folder that it is in."""

    folder: Path
    record: PartRecord


def join_parts(
    folders: Sequence[Path], output: Path, report: Report = lambda _, __: None
) -> dict[str, Any]:
    """Write the data set that the parts are parts of, all at once or not at all.

    Its files are those of one preparation of all the text, byte for byte, except for the times in
    the metadata. The parts stay as they are. Only a piece of a shard is in memory at a time.

    Args:
        folders: The folders of all parts, in any order.
        output: Folder of the data set, which must be absent or empty.
        report: Called now and then with the bytes of shards read, and their number in total.

    Returns:
        The metadata.

    Raises:
        DataError: A part is missing, damaged, there twice, or of another preparation; or the folder
            is not empty.
        LockedError: Another process writes there.
        SaveError: It could not be written; nothing is left behind.
    """
    check_absent(output)
    parts = _find_parts(folders)
    about = parts[0].record.about
    dtype = next(key for key, name in DTYPES.items() if name == about["dtype"])
    full = about["tokens_per_shard"]
    with new_folder(output) as folder:
        state = (parts[0].folder / STATE_FILE).read_bytes()
        write_atomically(folder / STATE_FILE, state)
        files: list[DataFile] = []
        ids = _Reader(parts, dtype, report)
        for split in _SPLITS:
            shards = _write_shards(folder, split, len(files), ids.read(split), full, dtype)
            files.extend(shards)
        document = describe_shards(folder, files, dtype, about)
        write_atomically(folder / METADATA_FILE, strict_json.dump(document))
    return document


class _Reader:
    """Reads the ids of all parts one after another, and checks the digests of their files."""

    def __init__(self, parts: Sequence[_Found], dtype: str, report: Report) -> None:
        self._parts, self._dtype, self._report = parts, dtype, report
        self._total = sum(file.size_bytes for part in parts for file in part.record.files)
        self._done = 0

    def read(self, split: str) -> Iterator[Ids]:
        """Yield the ids of a split, some at a time."""
        for part in self._parts:
            for file in part.record.files:
                if file.name.startswith(f"{split}/"):
                    yield from self._read_shard(part.folder / file.name, file)

    def _read_shard(self, path: Path, file: DataFile) -> Iterator[Ids]:
        digest, item_bytes = hashlib.sha256(), np.dtype(self._dtype).itemsize
        for data in _read_blocks(path):
            digest.update(data)
            self._done += len(data)
            self._report(self._done, self._total)
            yield np.frombuffer(data, self._dtype, len(data) // item_bytes)
        if digest.hexdigest() != file.sha256:
            what = f"has a different SHA-256 than {PART_FILE} says"
            raise DataError(Problem(str(path), "", what, _AGAIN, kind=_KIND))


def _read_blocks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file; an error of the disk that it is on is not one of the output's."""
    try:
        with path.open("rb") as stream:
            yield from iter(lambda: stream.read(_READ_BYTES), b"")
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise DataError(Problem(str(path), "", what, _AGAIN, kind=_KIND)) from error


def _write_shards(
    folder: Path, split: str, number: int, ids: Iterator[Ids], tokens_per_shard: int, dtype: str
) -> Iterator[DataFile]:
    """Write ids as shards that are full but for the last, and yield their records."""
    shard: ShardWriter | None = None
    try:
        for some in ids:
            left = some
            while len(left):
                shard = shard or ShardWriter(folder, f"{split}/shard_{number:05d}.bin", dtype)
                room = tokens_per_shard - shard.tokens
                shard.write(left[:room])
                left = left[room:]
                if shard.tokens == tokens_per_shard:
                    yield shard.finish()
                    shard, number = None, number + 1
        if shard is not None:
            yield shard.finish()
            shard = None
    finally:
        if shard is not None:
            shard.abandon()


def _find_parts(folders: Sequence[Path]) -> list[_Found]:
    """Return all parts in their order, which fit together and whose files are there.

    Raises:
        DataError: They do not.
    """
    found = [_Found(folder, _read_record(folder)) for folder in folders]
    problems = [problem for one in found[1:] for problem in _find_differences(found[0], one)]
    problems = problems or [*_find_gaps(found)]
    for part in found:
        problems += _find_damage(part)
    if problems:
        raise DataError(*limit_problems(problems))
    return sorted(found, key=lambda one: one.record.part.number)


def _read_record(folder: Path) -> PartRecord:
    record = PartRecord.read(folder)
    if record is None:
        what = f"is no complete part of a data set: it has no {PART_FILE}"
        fix = "name the folders of `mypt data prepare --part`, and let each come to its end"
        raise DataError(Problem(str(folder), "", what, fix, kind=_KIND))
    return record


def _find_differences(first: _Found, other: _Found) -> Iterator[Problem]:
    """Yield how a part is of another preparation than the first."""
    one, two = first.record, other.record
    differing = _name_other_file(one, two)
    if differing is None:
        differing = _name_other_setting(one, two)
    if differing is not None:
        what = f"is not of the same preparation as {first.folder}: {differing}"
        fix = "give every machine the same command, files (with their times) and packages"
        yield Problem(str(other.folder), "", what, fix, kind=_KIND)


def _name_other_file(one: PartRecord, two: PartRecord) -> str | None:
    if one.inputs == two.inputs:
        return None
    if len(one.inputs) != len(two.inputs):
        return f"{len(two.inputs)} files, not {len(one.inputs)}"
    (name, size_bytes, _), (other_name, other_bytes, _) = next(
        (a, b) for a, b in zip(one.inputs, two.inputs, strict=True) if a != b
    )
    if name != other_name:
        return f"the file {other_name}, not {name}"
    if size_bytes != other_bytes:
        return f"{name} has {other_bytes} bytes of text, not {size_bytes}"
    return f"{name} has another time"


def _name_other_setting(one: PartRecord, two: PartRecord) -> str | None:
    if one.mypt_version != two.mypt_version:
        return f"mypt {two.mypt_version}, not {one.mypt_version}"
    if one.part.of != two.part.of:
        return f"one of {two.part.of} parts, not of {one.part.of}"
    settings = one.about["prepared_with"], two.about["prepared_with"]
    for name in dict.fromkeys((*settings[0], *settings[1])):
        if settings[0].get(name) != settings[1].get(name):
            return _NAMES_OF_SETTINGS.get(name, f"another {name}")
    if one.segments_sha256 != two.segments_sha256:
        return "the files are divided in another way"
    return "another tokenizer" if one.tokenizer_sha256 != two.tokenizer_sha256 else None


def _find_gaps(found: Sequence[_Found]) -> Iterator[Problem]:
    """Yield which parts are there more than once, and which are not."""
    folders: defaultdict[int, list[Path]] = defaultdict(list)
    for one in found:
        folders[one.record.part.number].append(one.folder)
    of = found[0].record.part.of
    for number, places in sorted(folders.items()):
        for place in places[1:]:
            what = f"is part {number} of {of}, and so is {places[0]}"
            yield Problem(str(place), "", what, "name one of them", kind=_KIND)
    missing = (str(number) for number in range(1, of + 1) if number not in folders)
    named = [*islice(missing, _MOST_MISSING)]
    if named:
        word, verb = ("part", "is") if len(named) == 1 else ("parts", "are")
        more = ", ..." if next(missing, None) else ""
        what = f"{word} {', '.join(named)}{more} of {of} {verb} missing"
        yield Problem("", "", what, "name the folders of all parts", kind=_KIND)


def _find_damage(part: _Found) -> Iterator[Problem]:
    """Yield what of the files of a part is not there, without reading shards."""
    for problem in find_changed_files(part.folder, part.record.files, checksums=False):
        if problem.severity == "error":
            yield Problem(problem.file, "", problem.what, _AGAIN, kind=_KIND)
    state = part.folder / STATE_FILE
    is_there = is_regular_file(state)
    if not is_there or digest_file(state, STATE_FILE) != part.record.tokenizer_sha256:
        what = f"is not the one that {PART_FILE} says"
        yield Problem(str(state), "", what, _AGAIN, kind=_KIND)
