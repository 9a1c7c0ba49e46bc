"""Open a file of weights in either format, or a folder of torch.distributed; readers use this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.storage import files
from mypt.format.storage.files import have_equal_bytes
from mypt.format.tensors import pt_file, safetensors
from mypt.format.tensors.info import are_comparable
from mypt.format.tensors.pt_file import check_members, check_small_file, load_tensors, read_header
from mypt.format.tensors.torch_dcp import dcp_folder

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.format.storage.files import MappedFiles
    from mypt.format.tensors.info import TensorInfo


def describe_weights(path: Path, file: str) -> Any:
    """Return the content with a `TensorInfo` in place of each tensor, without reading weights.

    Args:
        path: A `.pt` or safetensors file, or a folder of torch.distributed.checkpoint.
        file: Its name, for messages.

    Raises:
        FormatError: It is damaged, or holds something other than tensors and plain values.
        OSError: It cannot be read.
    """
    if dcp_folder.holds_metadata(path):
        return dcp_folder.describe_folder(path, file)
    if safetensors.is_safetensors(path, file):
        return safetensors.read_infos(path, file)
    header = read_header(path, file, is_foreign=True)
    header.check_loadable()
    return header.contents


def describe_checked_weights(path: Path, file: str) -> Any:
    """Return what `describe_weights` returns, after checking the whole file, however large.

    Raises:
        FormatError: `describe_weights` refuses it, or a member does not match its checksum.
        OSError: It cannot be read.
    """
    contents = describe_weights(path, file)
    if dcp_folder.holds_metadata(path):
        dcp_folder.check_folder(path, file)
    elif not safetensors.is_safetensors(path, file):
        check_members(path, file)
    return contents


def load_weights(path: Path, file: str, mapped: MappedFiles | None = None) -> Any:
    """Return the content with its tensors memory-mapped on the CPU.

    A `.pt` file of up to 64 MiB is compared with its own checksums. The tensors of a folder are
    not mapped, but read when they are asked for.

    Args:
        path: A `.pt` or safetensors file.
        file: Its name, for messages.
        mapped: Where the file is mapped; by default somewhere of its own.

    Raises:
        FormatError: It is damaged, or holds something other than tensors and plain values.
        OSError: It cannot be read.
    """
    if dcp_folder.holds_metadata(path):
        return dcp_folder.load_folder(path, file)
    if safetensors.is_safetensors(path, file):
        return safetensors.load(path, file, mapped)
    check_small_file(path, file)
    return load_tensors(path, file, mapped, is_foreign=True)


def load_checked_weights(path: Path, file: str) -> Any:
    """Return what `load_weights` returns, after checking the whole file, however large.

    Raises:
        FormatError: `load_weights` refuses it, or a member does not match its checksum.
        OSError: It cannot be read.
    """
    describe_checked_weights(path, file)
    return load_weights(path, file)


def have_equal_values(one: tuple[Path, TensorInfo], other: tuple[Path, TensorInfo]) -> bool:
    """Return whether two described tensors have the same bits, reading a chunk at a time.

    Args:
        one: A file of weights, and a tensor as `describe_weights` describes it.
        other: The same or another file, likewise.

    Returns:
        False also where they cannot be compared.

    Raises:
        FormatError: A file is damaged.
        OSError: A file cannot be read.
    """
    (path, first), (other_path, second) = one, other
    if path == other_path and first == second:  # one stretch of one file
        return True
    if not are_comparable(first, second):
        return False
    if dcp_folder.holds_metadata(path):
        return dcp_folder.read_bytes(path, first) == dcp_folder.read_bytes(path, second)
    places = ((path, _find_start(path, first)), (other_path, _find_start(other_path, second)))
    return have_equal_bytes(*places, first.span[1] - first.span[0], str(path))


def has_zero_bytes(path: Path, tensor: TensorInfo) -> bool:
    """Return whether a described tensor has only zeros, reading a chunk at a time.

    Args:
        path: A file of weights.
        tensor: A tensor as `describe_weights` describes it.

    Returns:
        False also where its values are not consecutive.

    Raises:
        FormatError: The file is damaged.
        OSError: The file cannot be read.
    """
    if dcp_folder.holds_metadata(path):
        return not dcp_folder.read_bytes(path, tensor).strip(b"\0")
    begin, end = tensor.span
    place = (path, _find_start(path, tensor))
    return tensor.is_contiguous and files.has_zero_bytes(place, end - begin, str(path))


def _find_start(path: Path, tensor: TensorInfo) -> int:
    file = str(path)
    if safetensors.is_safetensors(path, file):
        return safetensors.find_start(path, file, tensor.storage_key)
    return pt_file.find_start(read_header(path, file, is_foreign=True), tensor)
