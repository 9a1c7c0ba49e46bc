"""Open a file of weights in either format; readers use this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.tensors import safetensors
from mypt.format.tensors.pt_file import check_members, check_small_file, load_tensors, read_header

if TYPE_CHECKING:
    from pathlib import Path


def describe_weights(path: Path, file: str) -> Any:
    """Return the content with a `TensorInfo` in place of each tensor, without reading weights.

    Args:
        path: A `.pt` or safetensors file.
        file: Its name, for messages.

    Raises:
        FormatError: It is damaged, or holds something other than tensors and plain values.
        OSError: It cannot be read.
    """
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
    if not safetensors.is_safetensors(path, file):
        check_members(path, file)
    return contents


def load_weights(path: Path, file: str) -> Any:
    """Return the content with its tensors memory-mapped on the CPU.

    A `.pt` file of up to 64 MiB is compared with its own checksums.

    Raises:
        FormatError: It is damaged, or holds something other than tensors and plain values.
        OSError: It cannot be read.
    """
    if safetensors.is_safetensors(path, file):
        return safetensors.load(path, file)
    check_small_file(path, file)
    return load_tensors(path, file, is_foreign=True)
