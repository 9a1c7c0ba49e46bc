"""A sharded save on disk: which of its folders counts, and whether its files are what was saved.

`dante_shards/shards.json` is its commit record. It names a generation, whose files lie in
`dante_shards/generation-000012/`: what torch.distributed.checkpoint writes (`.metadata`, and
`__1_0.distcp` from the process of rank 1), the documents of a bundle, and `structure.pt`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.documents.convert import from_document
from mypt.format.documents.shards import ShardsRecord
from mypt.format.errors import FormatError, Problem, has_errors
from mypt.format.schema.check import check_document
from mypt.format.shards.places import RECORD, generation_path
from mypt.format.storage import files
from mypt.format.storage.generations import CHANGING, checksum_problems
from mypt.format.tensors.torch_dcp.dcp_metadata import METADATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeVar

    T = TypeVar("T")

NAME = "sharded_save"
STRUCTURE = "structure.pt"
_PART = re.compile(r"__([0-9]{1,9})_[0-9]{1,9}\.distcp")
_OWN_NAMES = frozenset(
    {files.CONFIG, files.TOKENIZER, files.TRAINING_STATE, STRUCTURE, METADATA, f"{METADATA}.tmp"}
)
_FIX = "go on from the model or one of its copies: move this folder away"


def rank_of(name: str) -> int | None:
    """Return the rank of the process that wrote a file; None for a file that is no such part."""
    found = _PART.fullmatch(name)
    return None if found is None else int(found[1])


def is_own_name(name: str) -> bool:
    """Return whether mypt gives a file of a generation this name."""
    return name in _OWN_NAMES or rank_of(name) is not None


def read_record(shards: Path) -> ShardsRecord | None:
    """Read the commit record of a folder of shards; return None if there is none.

    Raises:
        FormatError: It is damaged or of a newer major version.
        OSError: It cannot be read.
    """
    file = str(shards / RECORD)
    try:
        document, data = files.read_document(shards / RECORD, file)
    except FileNotFoundError:
        return None
    problems = check_document("shards", document, file)
    if not has_errors(problems):
        problems += checksum_problems(document, data, file, _FIX)
    if has_errors(problems):
        raise FormatError(*(problem for problem in problems if problem.severity == "error"))
    return from_document(ShardsRecord, document)


@frozen
class ShardsFolder:
    """The generation of a folder of shards that counts.

    Attributes:
        path: The folder of shards.
        record: Its commit record.
    """

    path: Path
    record: ShardsRecord

    @property
    def generation(self) -> Path:
        """The folder with the files of the generation."""
        return generation_path(self.path, self.record.generation)

    def read(self, use: Callable[[Path], T]) -> T:
        """Do something with the folder of the generation.

        Args:
            use: Called with the folder.

        Raises:
            FormatError: `use` says so, or a file is missing, or a run has saved meanwhile.
            OSError: `use` says so.
        """
        try:
            return use(self.generation)
        except (FormatError, OSError) as error:
            if read_record(self.path) != self.record:
                what, fix = "was saved anew since it was opened", "open it again"
                changed = Problem(str(self.path), "", what, fix, kind=CHANGING)
                raise FormatError(changed) from error
            if isinstance(error, FileNotFoundError):
                raise FormatError(_make_problem(error.filename, "is missing")) from error
            raise

    def check(self, *, whole: bool) -> None:
        """Compare the files with what was saved.

        Args:
            whole: Whether to compare the digests of all files; otherwise those of the small ones,
                and the sizes of the rest.

        Raises:
            FormatError: One is missing, or is not what was saved.
            OSError: One cannot be read.
        """
        self.read(partial(self._check, whole=whole))

    def _check(self, generation: Path, *, whole: bool) -> None:
        for name, record in self.record.files.items():
            path = generation / name
            size = path.stat().st_size
            if size != record.size_bytes:
                what = f"has {size} bytes, and {record.size_bytes} were saved"
                raise FormatError(_make_problem(str(path), what))
            is_read = whole or rank_of(name) is None
            if is_read and files.digest_file(path, str(path)) != record.sha256:
                raise FormatError(_make_problem(str(path), "is not what was saved"))


def open_shards(path: Path) -> ShardsFolder:
    """Open a folder of shards.

    Raises:
        FormatError: Its record is missing or damaged.
        OSError: It cannot be read.
    """
    record = read_record(path)
    if record is None:
        raise FormatError(_make_problem(str(path / RECORD), "is missing"))
    return ShardsFolder(path, record)


def read_state(path: Path) -> dict[str, object]:
    """Return the training state of a folder of shards, unchecked.

    Raises:
        FormatError: It, or the record, is damaged.
        OSError: It cannot be read.
    """
    opened = open_shards(path)
    place = opened.generation / files.TRAINING_STATE
    return opened.read(lambda _: files.read_document(place, str(place))[0])


def _make_problem(file: str, what: str) -> Problem:
    return Problem(file, "", what, _FIX, kind="shards.damaged")
