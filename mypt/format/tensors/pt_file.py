"""Read a `.pt` file: names, shapes and dtypes from its header, or the tensors themselves."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from attrs import frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.storage.files import MappedFiles, have_equal_bytes, open_regular
from mypt.format.tensors.info import ITEM_BYTES, TensorInfo, are_comparable
from mypt.format.tensors.pickles.foreign_pickle import read_foreign_pickle
from mypt.format.tensors.pickles.pickle_machine import MAX_PICKLE_BYTES
from mypt.format.tensors.pickles.pickle_reader import read_pickle
from mypt.format.tensors.torch_forms.legacy_file import read_legacy
from mypt.format.tensors.zip_reader import Member, is_legacy, read_member, read_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from mmap import mmap
    from pathlib import Path

# Files up to this size are compared with their checksums whenever they are loaded.
MAX_CHECKED_BYTES = 64 * 1024 * 1024
# torch opens no archive without a version from 1 to 10; it looks for the first name first.
_VERSIONS = (".data/version", "version")
_VERSION = re.compile(rb"0*([1-9]|10)\n?")
_ALIGNMENT = re.compile(rb"[1-9][0-9]{0,8}\n?")
_CHUNK_BYTES = 1 << 20
_SMALL_BYTES = 1024  # more than any member that describes the archive needs
_NAMES = frozenset(
    {
        "data.pkl",
        "byteorder",
        "version",
        ".data/version",
        ".data/serialization_id",
        ".format_version",
        ".storage_alignment",
    }
)


@frozen
class Header:
    """The description of a `.pt` file's content.

    Attributes:
        file: Its name, for messages.
        contents: Nested dict, list, tuple, str, int, float, bool and None, with a `TensorInfo` in
            place of each tensor.
        members: The members of the archive by name; the storage `k` is `data/k`, also of a file of
            torch before 1.6, which is no archive.
        unloadable: Why torch would not open it all the same; "" if it would.
    """

    file: str
    contents: Any
    members: Mapping[str, Member]
    unloadable: str = ""

    def check_loadable(self) -> None:
        """Raise a `FormatError` if torch would not open the file."""
        if self.unloadable:
            what = f"cannot be loaded by torch: {self.unloadable}"
            _raise_tensors_error(self.file, "", what, "save it again with torch.save")

    def tensors(self) -> dict[str, TensorInfo]:
        """Return the tensors of a flat state dict by name, in their order.

        Raises:
            FormatError: The file holds something other than a flat dict of tensors.
        """
        if not isinstance(self.contents, dict):
            kind = type(self.contents).__name__
            _raise_tensors_error(self.file, "", f"holds a {kind}, not a dict of tensors")
        for name, value in self.contents.items():
            if not isinstance(name, str) or not isinstance(value, TensorInfo):
                _raise_tensors_error(
                    self.file, str(name), f"is a {type(value).__name__}, not a tensor"
                )
        return dict(self.contents)


def read_header(path: Path, file: str, *, is_foreign: bool = False) -> Header:
    """Read names, shapes and dtypes of all tensors, without torch and without the weights.

    Args:
        path: The file.
        file: Its name, for messages.
        is_foreign: Whether it may hold what other programs save beside tensors: see
            `read_foreign_pickle`; and have the form of torch before 1.6: see `read_legacy`. A file
            of a bundle may not.

    Raises:
        FormatError: It is damaged or not an archive of plain tensors and plain values (see
            `read_members` and `read_pickle`), or a storage is missing or has the wrong size.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        return describe_stream(stream, file, is_foreign=is_foreign)


def load_tensors(
    path: Path, file: str, mapped: MappedFiles | None = None, *, is_foreign: bool = False
) -> Any:
    """Load the whole content of a `.pt` file, with tensors memory-mapped on the CPU.

    The weights are read from disk when first used. Changing them does not change the file. Nothing
    is unpickled: the tensors are those that the header describes.

    Args:
        path: The file.
        file: Its name, for messages.
        mapped: Where the file is mapped; by default somewhere of its own.
        is_foreign: See `read_header`.

    Raises:
        FormatError: `read_header` rejects it, or it cannot be mapped, such as one that was cut
            while being read.
        OSError: It cannot be read.
    """
    mapped = MappedFiles() if mapped is None else mapped
    with open_regular(path, file) as stream:
        header = describe_stream(stream, file, is_foreign=is_foreign)
        header.check_loadable()
        if not header.members:  # of torch before 1.6, without tensors
            return header.contents
        try:
            content = mapped.map(stream, _find_end(header))
        except (ValueError, OSError) as error:
            _raise_tensors_error(file, "", f"cannot be mapped to memory: {error}", "open it again")
    return _map_tensors(header, content)


def _find_end(header: Header) -> int:
    return max(member.offset + member.size_bytes for member in header.members.values())


def _map_tensors(header: Header, content: mmap) -> Any:
    """Return the content of a file with its tensors, in memory that is mapped to the file.

    Of a file of torch before 1.6, most storages begin where none of their type can: these are
    copied.
    """
    import torch

    whole = torch.frombuffer(content, dtype=torch.uint8).untyped_storage()
    storages: dict[str, Any] = {}

    def map_tensor(info: TensorInfo) -> Any:
        key = info.storage_key
        if key not in storages:
            member = header.members[f"data/{key}"]
            if member.size_bytes and member.offset % ITEM_BYTES[info.dtype]:
                storages[key] = _copy_storage(content, member)
            else:
                storages[key] = whole[member.offset : member.offset + info.storage_bytes]
        empty = torch.empty(0, dtype=getattr(torch, info.dtype), device="cpu")
        return empty.set_(storages[key], info.storage_offset, info.shape, info.stride)

    return _replace_infos(header.contents, map_tensor)


def _copy_storage(content: mmap, member: Member) -> Any:
    """Return a storage in memory of its own; the caller has checked that the file has its bytes."""
    import torch

    held = bytearray(content[member.offset : member.offset + member.size_bytes])
    return torch.frombuffer(held, dtype=torch.uint8).untyped_storage()


def _replace_infos(value: Any, make: Callable[[TensorInfo], Any]) -> Any:
    """Return a content with another value in the place of each `TensorInfo`.

    A function of its own: one that called itself by a closure would keep the file mapped until
    Python looks for circles.
    """
    if isinstance(value, TensorInfo):
        return make(value)
    if isinstance(value, dict):
        return {key: _replace_infos(item, make) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replace_infos(item, make) for item in value)
    return value


def check_small_file(path: Path, file: str) -> None:
    """Compare a file of up to `MAX_CHECKED_BYTES` with its own checksums.

    Raises:
        FormatError: A member does not match its checksum, or `read_members` rejects the file.
    """
    if path.stat().st_size <= MAX_CHECKED_BYTES:
        check_members(path, file)


def check_members(path: Path, file: str) -> None:
    """Compare the content of a file with its own checksums.

    Raises:
        FormatError: A member does not have its checksum, or `read_members` refuses the file.
    """
    name = next(find_damaged_members(path, file), None)
    if name is not None:
        what, fix = "does not have its checksum", "restore it from a copy"
        _raise_tensors_error(file, name, what, fix, "archive.checksum")


def find_damaged_members(path: Path, file: str) -> Iterator[str]:
    """Find the members whose content does not match the checksum in the archive.

    Reads the whole file, a chunk at a time. A checksum of 0 means that none was computed, which
    is an option of torch; files of torch before 1.6 have none.

    Yields:
        Names of members.

    Raises:
        FormatError: `read_members` rejects the file, or it was truncated while being read.
    """
    with open_regular(path, file) as stream:
        yield from find_damage(stream, file)


def find_damage(stream: BinaryIO, file: str) -> Iterator[str]:
    """Yield what `find_damaged_members` does, of a file that is open, or an archive inside one.

    Raises:
        FormatError: See `find_damaged_members`.
    """
    if is_legacy(stream):
        return  # it has no checksums
    for name, member in read_members(stream, file).items():
        stream.seek(member.offset)
        crc, left = 0, member.size_bytes
        while left:
            chunk = stream.read(min(left, _CHUNK_BYTES))
            if not chunk:
                _raise_tensors_error(
                    file, name, "was truncated while being read", "open it again", "changed"
                )
            crc, left = zlib.crc32(chunk, crc), left - len(chunk)
        if member.crc32 not in (crc, 0):
            yield name


def find_start(header: Header, tensor: TensorInfo) -> int:
    """Return the first byte in the file of a contiguous tensor."""
    return header.members[f"data/{tensor.archive_key}"].offset + tensor.span[0]


def have_equal_values(path: Path, header: Header, first: TensorInfo, second: TensorInfo) -> bool:
    """Return whether two tensors of a file have the same bits; False if they are not comparable.

    Reads a chunk at a time.
    """
    if not are_comparable(first, second):
        return False
    size = first.span[1] - first.span[0]
    starts = [(path, find_start(header, tensor)) for tensor in (first, second)]
    return have_equal_bytes(starts[0], starts[1], size, header.file)


def describe_stream(stream: BinaryIO, file: str, *, is_foreign: bool) -> Header:
    """Return what `read_header` returns, of a file that is open, or of an archive inside one.

    Raises:
        FormatError: See `read_header`.
    """
    if is_foreign and is_legacy(stream):
        contents, places = read_legacy(stream, file)
        return Header(file, contents, places)
    members = read_members(stream, file)
    strange = [name for name in members if name not in _NAMES and not name.startswith("data/")]
    large = [name for name in _NAMES & members.keys() if members[name].size_bytes > _SMALL_BYTES]
    if set(large) - {"data.pkl"}:  # torch reads these whole
        _raise_tensors_error(file, "", f"holds a `{max(large)}` larger than {_SMALL_BYTES} bytes")
    if strange or "data.pkl" not in members:
        what = f"holds `{strange[0]}`" if strange else "holds no `data.pkl`"
        _raise_tensors_error(
            file, "", f"{what}, so it is not a file of tensors written by torch.save"
        )
    order = members.get("byteorder")
    if order and (order.size_bytes > len("little") or read_member(stream, order) != b"little"):
        _raise_tensors_error(
            file, "", "was written on a big-endian machine", "save it on a little-endian one"
        )
    pickle = members["data.pkl"]
    if pickle.size_bytes > MAX_PICKLE_BYTES:
        _raise_tensors_error(
            file, "", f"has a header of {pickle.size_bytes} bytes, which no checkpoint needs"
        )
    read = read_foreign_pickle if is_foreign else read_pickle
    contents, storages = read(read_member(stream, pickle), file)
    for storage in storages.values():
        member = members.get(f"data/{storage.key}")
        held = member.size_bytes if member else "no such member"
        if held != storage.size_bytes:
            users = (n for n, info in iterate_tensors(contents) if info.storage_key == storage.key)
            what = f"needs {storage.size_bytes} bytes in data/{storage.key}, the file has {held}"
            _raise_tensors_error(file, next(users, ""), what, "restore it from a copy")
    return Header(file, contents, members, _find_load_obstacle(stream, members))


def _find_load_obstacle(stream: BinaryIO, members: Mapping[str, Member]) -> str:
    """Return why torch would not open an archive, however well its tensors are described."""
    name = next((name for name in _VERSIONS if name in members), None)
    if name is None:
        return "it holds no `version`"
    version = read_member(stream, members[name])
    if not _VERSION.fullmatch(version):
        return f"its version is {version[:20]!r}, not 1 to 10"
    alignment = members.get(".storage_alignment")
    if alignment and not _ALIGNMENT.fullmatch(read_member(stream, alignment)):
        return "its `.storage_alignment` is not a positive number"
    return ""


def iterate_tensors(contents: Any, name: str = "") -> Iterator[tuple[str, TensorInfo]]:
    """Yield all tensors inside a nested value, each with its path of keys joined by dots."""
    if isinstance(contents, TensorInfo):
        yield name, contents
    elif isinstance(contents, (dict, list, tuple)):
        items = contents.items() if isinstance(contents, dict) else enumerate(contents)
        for key, value in items:
            yield from iterate_tensors(value, f"{name}.{key}" if name else str(key))


def _raise_tensors_error(
    file: str,
    where: str,
    what: str,
    fix: str = "name a file of weights, or restore this one",
    kind: str = "tensors",
) -> NoReturn:
    raise FormatError(Problem(file, where, what, fix, kind=kind))
