"""Read the files that torch wrote before 1.6, and writes still if it is asked to.

Such a file is a row of five pickles (a magic number, a version, what machine wrote it, the value,
and the keys of its storages), and of the storages in the order of these keys: the number of values
in 8 bytes, and the values. Source: `_legacy_save` and `_legacy_load` of `torch.serialization`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from mypt.format.errors import FormatError, Problem
from mypt.format.tensors.pickles.foreign_pickle import ForeignInterpreter
from mypt.format.tensors.pickles.pickle_machine import MAX_PICKLE_BYTES
from mypt.format.tensors.zip_reader import Member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.tensors.info import StorageInfo

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_FIRST_BYTES = 1 << 20  # the pickles of almost every file fit into it
_NUMEL = struct.Struct("<q")
_RESTORE = "restore it from a copy"


def read_legacy(stream: BinaryIO, file: str) -> tuple[Any, dict[str, Member]]:
    """Describe the content of a file, without torch and without the weights.

    Args:
        stream: The file, of which `is_legacy` is true.
        file: Its name, for messages.

    Returns:
        The content with a `TensorInfo` in place of each tensor, and where its storages lie: the
        storage `k` is the member `data/k`, without a checksum.

    Raises:
        FormatError: It is damaged, is of a big-endian machine, or holds something other than
            tensors and plain values; or its storages are not those that the tensors need.
    """
    size = stream.seek(0, 2)
    most = min(size, MAX_PICKLE_BYTES)
    length = min(_FIRST_BYTES, most)
    while True:
        stream.seek(0)
        try:
            contents, storages, keys, start = _read_pickles(stream.read(length), file)
        except FormatError as error:
            if length == most or error.problems[0].kind != "pickle.malformed":
                raise
            length = min(4 * length, most)  # it may go on after what was read
        else:
            return contents, _place_storages(stream, storages, keys, start, size, file)


class _LegacyInterpreter(ForeignInterpreter):
    """A pickle machine that knows the references to storages of that time."""

    def find_stored(self, reference: Any) -> StorageInfo:
        """Return the storage that a persistent id refers to."""
        match reference:
            case ("module", *_):
                what = "holds a whole module, which only the program that wrote it can build"
                return self.reject(what, kind="global", fix="save its state_dict() there")
            case (*place, None):  # a view of which part; torch wrote none after 0.3
                return super().find_stored(tuple(place))
            case _:
                return self.reject("refers to something other than a whole storage", kind="storage")


def _read_pickles(data: bytes, file: str) -> tuple[Any, dict[str, StorageInfo], list[str], int]:
    """Return the content, its storages, their keys in order, and the number of bytes read."""
    values, position = [], 0
    storages: dict[str, StorageInfo] = {}
    for _ in range(5):
        machine = _LegacyInterpreter(data[position:], file, frozenset())
        values.append(machine.interpret())
        machine.check_value(values[-1])
        position += machine.position
        storages |= machine.storages
    magic, version, system, contents, keys = values
    if magic != _MAGIC or version != _VERSION or not isinstance(system, dict):
        _raise_legacy_error(file, "is not in a form that torch ever wrote")
    if system.get("little_endian") is not True:
        fix = "save it on a little-endian one"
        _raise_legacy_error(file, "was written on a big-endian machine", fix)
    is_list = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not is_list or sorted(keys) != sorted(storages):
        _raise_legacy_error(file, "does not list the storages that its tensors are in")
    return contents, storages, keys, position


def _place_storages(
    stream: BinaryIO,
    storages: Mapping[str, StorageInfo],
    keys: list[str],
    start: int,
    size: int,
    file: str,
) -> dict[str, Member]:
    """Return the storages as members; raise if they do not fill the rest of the file."""
    members = {}
    for key in keys:
        storage = storages[key]
        stream.seek(start)
        data = stream.read(_NUMEL.size)
        start += _NUMEL.size
        if len(data) < _NUMEL.size or start + storage.size_bytes > size:
            what = f"ends before the {storage.size_bytes} bytes of its storage {key}"
            _raise_legacy_error(file, what)
        (numel,) = _NUMEL.unpack(data)
        if numel != storage.numel:
            what = f"holds {numel} values in its storage {key}, and describes {storage.numel}"
            _raise_legacy_error(file, what)
        name = f"data/{key}"
        members[name] = Member(name, start, storage.size_bytes, crc32=0)
        start += storage.size_bytes
    if start != size:
        _raise_legacy_error(file, "has bytes after its last storage")
    return members


def _raise_legacy_error(file: str, what: str, fix: str = _RESTORE) -> NoReturn:
    raise FormatError(Problem(file, "", what, fix, kind="tensors.legacy"))
