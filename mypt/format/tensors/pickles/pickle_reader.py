"""Describe the pickle inside a torch archive with an interpreter that calls nothing.

Only the opcodes and the few names that tensors, containers, numbers and text need are known, as
format 2.0 has them; everything else is rejected by name. What files of other programs hold beside
them is read by `foreign_pickle`. Source: CPython's `pickletools`, for the opcodes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from attrs import evolve

from mypt.format.errors import FormatError
from mypt.format.tensors.info import FLOATING, StorageInfo, TensorInfo
from mypt.format.tensors.pickles.pickle_machine import PickleMachine
from mypt.format.tensors.pickles.tensor_opcodes import OPERATIONS
from mypt.format.tensors.pickles.torch_names import GLOBALS, TorchFunction, reject_name

_MAX_REMEMBERED_BYTES = 256 * 1024  # about a thousand tensors
MAX_DIMENSIONS = 64
MAX_INDEX = 2**63
_LOCATION = re.compile(r"(?!meta\b)[a-z]+(:[0-9]+)?")
_KEY = re.compile(r"[0-9]{1,20}", re.ASCII)
# What follows GLOBAL where `pt_writer` wrote a tensor: class of its storage, length of the key,
# key, and the rest. It pushes one value, whatever its numbers are.
_INTEGER = rb"(?:K.|M..|J....)"
_TENSOR = re.compile(
    rb"torch\._utils\n_rebuild_tensor_v2\n\(\(X\x07\0\0\0storagectorch\n([A-Za-z0-9]+)\n"
    rb"X(.)\0\0\0([0-9]{1,20})"
    rb"(X\x03\0\0\0cpu" + _INTEGER + rb"tQK\0\(" + _INTEGER + rb"*t\(" + _INTEGER + rb"*t\x89"
    rb"ccollections\nOrderedDict\n\)RtR)",
    re.DOTALL,
)
_MAKE_CONTIGUOUS = "save it again with each tensor made contiguous"


def read_pickle(data: bytes, file: str) -> tuple[Any, dict[str, StorageInfo]]:
    """Describe what a pickle would build, without building it.

    Args:
        data: Content of `data.pkl`.
        file: Name of the archive, for messages.

    Returns:
        Nested dict, list, tuple, str, int, float, bool and None with `TensorInfo` as leaves (an
        OrderedDict becomes a dict, a parameter its tensor), and all storages by key. Not to be
        changed: models of one architecture, such as the copies of a run, share theirs.

    Raises:
        FormatError: It names anything else, is damaged, too large or nested too deeply.
    """
    if len(data) > _MAX_REMEMBERED_BYTES:
        machine = Interpreter(data, file)
        return machine.run(), machine.storages
    try:
        return _read_small_pickle(data)
    except FormatError as error:
        raise FormatError(*(evolve(problem, file=file) for problem in error.problems)) from error


@lru_cache(maxsize=8)
def _read_small_pickle(data: bytes) -> tuple[Any, dict[str, StorageInfo]]:
    """Return what `read_pickle` does; its errors name no file."""
    machine = Interpreter(data, "")
    return machine.run(), machine.storages


class _ReadTensor(NamedTuple):
    """A tensor that was read operation by operation, for others that differ by their key alone."""

    info: TensorInfo
    numel: int
    operations: int


class Interpreter(PickleMachine):
    """A pickle machine that knows tensors of torch, and what they are made of."""

    operations = OPERATIONS
    leaves: ClassVar[tuple[type, ...]] = (*PickleMachine.leaves, TensorInfo)

    def __init__(self, data: bytes, file: str) -> None:
        """Prepare to read a pickle; `file` is its name, for messages."""
        super().__init__(data, file)
        self.storages: dict[str, StorageInfo] = {}
        self.ordered: dict[int, Any] = {}  # ordered dicts by identity; held, so that none is reused
        self.read: dict[tuple[bytes, ...], _ReadTensor] = {}  # by what they are but for their keys

    def find_global(self, name: bytes) -> Any:
        """Return what stands for a function or class of torch."""
        return GLOBALS[name] if name in GLOBALS else reject_name(self, name)

    def push_global(self) -> None:
        """Push what the next two lines name; or a tensor, if all of it is as `pt_writer` has it."""
        found = _TENSOR.match(self.data, self.position)
        if found is not None and found[2][0] == len(found[3]):
            self._push_tensor(found)
        else:
            super().push_global()

    def _push_tensor(self, found: re.Match[bytes]) -> None:
        """Push a tensor that `pt_writer` wrote, at once if one of its kind was read before."""
        kind, _, key, rest = found.groups()
        before = self.read.get((kind, rest))
        if before is None:
            super().push_global()
            operations = 0
            while self.position < found.end():
                self.position += 1
                self.operations[self.data[self.position - 1]](self)
                operations += 1
            info = self.stack[-1]
            numel = self.storages[info.storage_key].numel
            self.read[kind, rest] = _ReadTensor(info, numel, operations)
        else:
            self.position = found.end()
            info, numel, operations = before
            storage = self.add_storage(info.dtype, key.decode(), numel)
            self.stack.append(
                TensorInfo(info.dtype, info.shape, info.stride, storage.key, 0, info.storage_bytes)
            )
        self.skipped += operations

    def find_stored(self, reference: Any) -> StorageInfo:
        """Return the storage that a persistent id refers to."""
        match reference:
            case ("storage", StorageInfo(key=""), str(), str(), int()) as found:
                _, kind, key, location, numel = found
            case _:
                self.reject("refers to something other than a storage", kind="storage")
        if not (_KEY.fullmatch(key) and _LOCATION.fullmatch(location) and 0 <= numel < MAX_INDEX):
            self.reject("describes a storage as torch never does", kind="storage")
        return self.add_storage(kind.dtype, key, numel)

    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Return what stands for the result of a call."""
        if function is TorchFunction.TENSOR:
            return _describe_tensor(self, *_require_six(arguments))
        if function is TorchFunction.PARAMETER:
            tensor, needs_grad, hooks = arguments
            if type(tensor) is not TensorInfo or type(needs_grad) is not bool or hooks != {}:
                raise ValueError
            return tensor
        if function is TorchFunction.DICT and not arguments:
            made: dict[Any, Any] = {}
            self.ordered[id(made)] = made
            return made
        return self.reject("calls something that no tensor needs", kind="call")

    def set_state(self, target: Any, state: Any) -> Any:
        """Return what an object becomes with the state that the file sets."""
        if type(target) is not dict:
            raise ValueError
        if id(target) not in self.ordered:
            self.reject("sets attributes of a plain dict, which has none", kind="call")
        if type(state) is not dict or set(state) != {"_metadata"}:
            self.reject("sets attributes that no state dict has", kind="call")
        return target

    def add_storage(self, dtype: str, key: str, numel: int) -> StorageInfo:
        """Return a storage; reject one whose key is that of another."""
        storage = StorageInfo(dtype, key, numel)
        known = self.storages.setdefault(key, storage)
        if known is not storage and known != storage:
            self.reject(f"describes its storage {key} in two ways", kind="storage")
        return storage


def _require_six(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(arguments) != 6:
        raise ValueError
    return arguments


def _describe_tensor(
    machine: Interpreter,
    storage: Any,
    offset: Any,
    shape: Any,
    stride: Any,
    needs_grad: Any,
    hooks: Any,
) -> TensorInfo:
    """Describe a tensor; reject one that does not fit into its storage."""
    numbers = (offset, *shape, *stride) if type(shape) is type(stride) is tuple else (None,)
    if (
        not isinstance(storage, StorageInfo)
        or not storage.key
        or any(type(number) is not int or not 0 <= number < MAX_INDEX for number in numbers)
        or len(shape) != len(stride)
        or len(shape) > MAX_DIMENSIONS
        or type(needs_grad) is not bool
        or (needs_grad and storage.dtype not in FLOATING)
        or hooks != {}
    ):
        machine.reject("describes a tensor as torch never does", kind="tensor")
    info = TensorInfo(storage.dtype, shape, stride, storage.key, offset, storage.size_bytes)
    is_beyond = max(info.span[1], offset) > storage.size_bytes
    if is_beyond or info.numel > storage.numel:
        held = f"its storage holds {storage.numel} values"
        fix = None if is_beyond else _MAKE_CONTIGUOUS
        machine.reject(f"describes a tensor of shape {shape}, but {held}", kind="tensor", fix=fix)
    return info
