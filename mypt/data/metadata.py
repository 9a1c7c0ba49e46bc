"""Read `dataset_metadata.json`, and check whether a data set's files still match it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from mypt.format.errors import DataError, FormatError, Problem, has_errors
from mypt.format.readers.unread import dataset_folder
from mypt.format.schema import strict_json
from mypt.format.schema.check import check_document
from mypt.format.storage.files import is_present

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

METADATA_FILE, STATE_FILE = dataset_folder.METADATA_FILE, dataset_folder.STATE_FILE
# What stands in the place of the metadata in a folder that is no whole data set.
PROGRESS_FILE = ".progress.json"
PART_FILE = "part.json"


@frozen(kw_only=True)
class DataFile:
    """A file of a data set, as recorded when it was written.

    Attributes:
        name: Its path within the data set, with slashes.
        size_bytes: Its size.
        sha256: SHA-256 of its bytes, in hexadecimal.
        mtime_ns: Modification time, in nanoseconds since 1970.
        tokens: Number of ids in it; None if it does not hold ids.
        highest_id: The highest id in it.
    """

    name: str
    size_bytes: int
    sha256: str
    mtime_ns: int
    tokens: int | None = None
    highest_id: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self, filter=lambda _, value: value is not None)

    def is_unchanged(self, folder: Path) -> bool:
        """Return whether the file in a data set still has this size and time."""
        try:
            found = (folder / self.name).stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


@frozen
class Metadata:
    """The metadata that mypt wrote for a data set.

    Attributes:
        document: All fields.
        files: Its files.
    """

    document: Mapping[str, Any]
    files: tuple[DataFile, ...]

    @property
    def dtype(self) -> str:
        """The numpy dtype of the ids, little-endian."""
        return "<u2" if self.document.get("dtype") == "uint16" else "<u4"

    @property
    def data_sha256(self) -> str | None:
        """The fingerprint of everything that a model learns from."""
        return self.document.get("data_sha256")

    def matches_files(self, folder: Path, names: Iterable[str]) -> bool:
        """Return whether these are exactly the files that were written, unchanged."""
        split = {Path(name).parts[0] for name in names}
        listed = [file for file in self.files if Path(file.name).parts[0] in split]
        same = sorted(names) == sorted(file.name for file in listed)
        return same and all(file.is_unchanged(folder) for file in listed)

    def highest_id(self, names: Iterable[str]) -> int:
        """Return the highest id in the named files, or -1 if they hold none."""
        wanted = set(names)
        found = (file.highest_id for file in self.files if file.name in wanted)
        return max((number for number in found if number is not None), default=-1)


def read_metadata(folder: str | Path) -> Metadata | None:
    """Read `dataset_metadata.json`; return None if it is absent or an earlier program wrote it.

    Raises:
        DataError: It cannot be read, or does not match its schema.
    """
    file = Path(folder) / METADATA_FILE
    try:
        document = strict_json.parse(file.read_bytes(), str(file))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise DataError(Problem(str(file), "", what, "check its permissions")) from error
    except FormatError as error:
        raise DataError(*error.problems) from error
    if "format_version" not in document:
        return None
    problems = check_document("dataset_metadata", document, str(file))
    if has_errors(problems):
        raise DataError(*problems)
    known = DataFile.__annotations__
    files = [{k: v for k, v in one.items() if k in known} for one in document.get("files", ())]
    return Metadata(document, tuple(DataFile(**one) for one in files))


def check_whole(folder: Path) -> None:
    """Raise if a folder holds a part of a data set, or one that is not prepared to its end.

    Raises:
        DataError: It does.
    """
    if is_present(folder / METADATA_FILE):
        return
    if is_present(folder / PART_FILE):
        what = f"is a part of a data set ({PART_FILE}), not a whole one"
        fix = "join all parts: mypt data join PART... --output FOLDER"
    elif is_present(folder / PROGRESS_FILE):
        what = f"is not prepared to its end ({PROGRESS_FILE})"
        fix = "run the `mypt data prepare` that began it again, which goes on"
    else:
        return
    raise DataError(Problem(str(folder), "", what, fix, kind="data.unfinished"))
