"""A part of a preparation: the range of the files that one machine of several prepares."""

from __future__ import annotations

import hashlib
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Self

from attrs import asdict, frozen

from mypt.data.metadata import PART_FILE, DataFile
from mypt.format.errors import DataError, FormatError, Problem, has_errors
from mypt.format.schema import strict_json
from mypt.format.schema.check import check_document
from mypt.format.storage.atomic_file import write_atomically
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mypt.data.prepare.segments import Segment, TextFile

# So many files are listed one by one; the record of more would be larger than what is read.
_MOST_LISTED = 50_000


@frozen
class Part:
    """Which part of how many.

    Attributes:
        number: Its number, from 1.
        of: The number of parts.
    """

    number: int
    of: int

    def __str__(self) -> str:
        """Return it as the flag has it, `3/8`."""
        return f"{self.number}/{self.of}"

    def find_range(self, segments: Sequence[Segment]) -> tuple[int, int]:
        """Return the range of the segments that are this part, which may be empty.

        A segment belongs to the part in which its middle lies when the text is cut into equal
        ones, so that no part differs from an equal share by more than the largest segment.

        Returns:
            The index of the first, and that after the last.
        """
        total = sum(segment.size_bytes for segment in segments)
        ends = accumulate(segment.size_bytes for segment in segments)
        twice = [2 * end - one.size_bytes for one, end in zip(segments, ends, strict=True)]
        parts = [middle * self.of // (2 * total) + 1 for middle in twice]
        return sum(p < self.number for p in parts), sum(p <= self.number for p in parts)


@frozen(kw_only=True)
class PartRecord:
    """What `part.json` says of a part that is complete.

    Attributes:
        mypt_version: The version that wrote it.
        part: Which part it is.
        inputs: Name, size of its text and version of every file of the whole preparation, by which
            a join says which one differs; empty for very many.
        segments_sha256: Digest of how all files are divided for training and validation.
        tokenizer_sha256: Digest of its `tokenizer_state.json`.
        about: What the metadata of the whole data set say, but for counts, digests and files.
        files: The shards.
    """

    mypt_version: str
    part: Part
    inputs: Sequence[Sequence[Any]]
    segments_sha256: str
    tokenizer_sha256: str
    about: Mapping[str, Any]
    files: tuple[DataFile, ...]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read that of a folder; return None if there is none.

        Raises:
            DataError: It cannot be read, or is damaged.
        """
        path = folder / PART_FILE
        try:
            document = strict_json.parse(path.read_bytes(), str(path))
            if document.pop("sha256") != _digest(document):
                raise _make_damaged_error(path)
            if not _is_sound(document, str(path)):
                raise _make_damaged_error(path)
            document["part"] = Part(**document["part"])
            document["files"] = tuple(DataFile(**file) for file in document["files"])
            return cls(**document)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise DataError(Problem(str(path), "", what, "check its permissions")) from error
        except (FormatError, KeyError, TypeError) as error:
            raise _make_damaged_error(path) from error

    def save(self, folder: Path) -> None:
        """Write it, which makes the part complete.

        Raises:
            SaveError: It could not be written.
        """
        document = asdict(self, recurse=False)
        document["part"] = asdict(self.part)
        document["files"] = [file.document() for file in self.files]
        document["sha256"] = _digest(document)
        write_atomically(folder / PART_FILE, strict_json.dump(document))


def list_inputs(sources: Sequence[TextFile]) -> list[list[Any]]:
    """Return name, size and version of each file, as a record of a part has them."""
    if len(sources) > _MOST_LISTED:
        return []
    names = (source.name.encode("utf-8", "surrogateescape") for source in sources)
    return [
        [name.decode("utf-8", "backslashreplace"), source.size_bytes, source.version]
        for name, source in zip(names, sources, strict=True)
    ]


def segments_sha256(segments: Sequence[Segment]) -> str:
    """Return a digest of how files are divided: places of all segments, in order."""
    rows = [[one.split, one.start, one.end, one.size_bytes] for one in segments]
    return _digest({"segments": rows})


def _is_sound(document: Mapping[str, Any], file: str) -> bool:
    """Return whether a record may be used, whoever wrote it: its digest is no signature."""
    match document:
        case {
            "mypt_version": str(),
            "part": {"number": int(number), "of": int(of)},
            "inputs": list(inputs),
            "segments_sha256": str(),
            "tokenizer_sha256": str(),
            "about": {"dtype": _, "tokens_per_shard": _, "prepared_with": _} as about,
            "files": list(files),
        } if 1 <= number <= of and all(map(_is_input, inputs)):
            metadata = {"format_version": FORMAT_VERSION, **about, "files": files}
            return not has_errors(check_document("dataset_metadata", metadata, file))
    return False


def _is_input(entry: object) -> bool:
    match entry:
        case [str(), int(), str()]:
            return True
    return False


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(strict_json.dump(document)).hexdigest()


def _make_damaged_error(path: Path) -> DataError:
    fix = "copy the part again, or remove its folder and prepare it again"
    return DataError(Problem(str(path), "", "is damaged", fix, kind="data.part"))
