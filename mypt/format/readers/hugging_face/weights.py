"""Find and load the weights of a Hugging Face folder: in one file or several, of either form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from attrs import frozen

from mypt.format.errors import FormatError, Problem, limit_problems
from mypt.format.readers.shared.fields import make_unsupported_error
from mypt.format.readers.unread.programs import ADAPTER, ADAPTER_CONFIG, make_problem
from mypt.format.storage.files import (
    find_misnamed,
    is_file_name,
    is_regular_file,
    misnamed_problem,
    open_regular,
    read_document,
)
from mypt.format.tensors.info import TensorInfo
from mypt.format.tensors.values import is_tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mypt.format.readers.contract import Load

_RESTORE = "restore the file"
# In the order in which transformers takes them: all weights in a file, or an index of several.
SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")
NAMES = tuple(name for single in SINGLE_FILES for name in (single, f"{single}.index.json"))
# Other files of weights that the folder of a model may have, by patterns of their names.
_OTHERS = ("*.msgpack", "*.h5", "*.onnx", "*.gguf", "*.safetensors", "*.bin", "*.pth", "*.ckpt")


@frozen
class FolderWeights:
    """The weights of a folder.

    Attributes:
        tensors: Tensors by their names in the files, or their descriptions.
        places: The file of each.
    """

    tensors: dict[str, Any]
    places: dict[str, Path]


def load_folder(path: Path, load: Load) -> FolderWeights:
    """Load the tensors of the single file, or of all files in the index.

    Files of safetensors come before those of torch.

    Raises:
        FormatError: There are none, one is damaged or missing, holds something other than tensors,
            the index does not fit the files, or an adapter changes them.
    """
    if is_regular_file(path / ADAPTER_CONFIG):  # peft would add it to these weights
        raise FormatError(make_problem(ADAPTER, str(path)))
    found = next((path / name for name in NAMES if is_regular_file(path / name)), None)
    if found is None:
        _raise_missing(path)
    if found.name in SINGLE_FILES:
        tensors = _load_file(found, load)
        return FolderWeights(tensors, dict.fromkeys(tensors, found))
    places = _read_index(found)
    tensors = {}
    for shard in sorted(set(places.values())):
        for name, tensor in _load_file(path / shard, load).items():
            if places.get(name) != shard:
                what = f"is in {shard}, but {found.name} does not list it there"
                raise make_unsupported_error(str(path), name, what, "restore the files")
            tensors[name] = tensor
    missing = [name for name in places if name not in tensors]
    if missing:
        raise FormatError(
            *(Problem(str(path), n, f"is missing from {places[n]}", _RESTORE) for n in missing[:20])
        )
    return FolderWeights(tensors, {name: path / shard for name, shard in places.items()})


def _raise_missing(path: Path) -> NoReturn:
    for name, right in find_misnamed(path, NAMES).items():
        raise FormatError(misnamed_problem(path / name, right))
    others = sorted(file.name for pattern in _OTHERS for file in path.glob(pattern))
    beside = f"; mypt does not read {', '.join(others[:3])} as the weights" if others else ""
    what = f"has none of {', '.join(NAMES)}{beside}"
    fix = "restore them, or save the model with save_pretrained"
    raise make_unsupported_error(str(path), "", what, fix)


def _read_index(index: Path) -> dict[str, str]:
    """Return the file of each tensor, by the names of both."""
    document, _ = read_document(index, str(index))
    places = document.get("weight_map")
    if not isinstance(places, dict) or not all(map(is_file_name, places.values())):
        what = "is not a map from tensors to files of this folder"
        raise make_unsupported_error(str(index), "/weight_map", what, _RESTORE)
    return places


def _load_file(file: Path, load: Load) -> dict[str, Any]:
    name = str(file)
    try:
        with open_regular(file, name):
            pass
    except FileNotFoundError as error:
        raise FormatError(Problem(name, "", "is missing", _RESTORE, kind="file.missing")) from error
    contents = load(file)
    if not isinstance(contents, dict):
        what = f"holds a {type(contents).__name__}, not a dict of tensors"
        raise make_unsupported_error(name, "", what, _RESTORE)
    problems = limit_problems(_find_others(contents, name))
    if problems:
        raise FormatError(*problems)
    if file.suffix != ".bin":
        return contents
    return {
        n: t.of_file(file.name) if isinstance(t, TensorInfo) else t for n, t in contents.items()
    }


def _find_others(contents: Mapping[Any, Any], file: str) -> Iterable[Problem]:
    for name, value in contents.items():
        if not isinstance(name, str) or not (isinstance(value, TensorInfo) or is_tensor(value)):
            what = f"is a {type(value).__name__}, not a tensor with a name"
            yield Problem(file, str(name), what, _RESTORE, kind="tensors")
