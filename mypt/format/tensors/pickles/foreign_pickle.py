"""Describe the pickles of other programs: beside tensors, the plain values that people save.

Such are numbers of numpy, sets, paths, types and shapes of torch, and namespaces, in any protocol.
They become the numbers, text, lists and dicts that they hold; nothing is called, imported or
built. A bundle of format 2.0 has none of them, and its files are read by `pickle_reader` alone.
Source: what numpy's and torch's objects return for `__reduce__`.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, frozen

from mypt.format.tensors.pickles.other_opcodes import OTHER_OPERATIONS
from mypt.format.tensors.pickles.pickle_machine import MAX_PICKLE_BYTES, MAX_VALUES
from mypt.format.tensors.pickles.pickle_reader import MAX_DIMENSIONS, MAX_INDEX, Interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from mypt.format.tensors.info import StorageInfo
    from mypt.format.tensors.pickles.pickle_machine import Operation

_PROTOCOLS = range(6)


def read_foreign_pickle(
    data: bytes, file: str, *, states_of: Collection[str] = ()
) -> tuple[Any, dict[str, StorageInfo]]:
    """Describe what a pickle of any program would build, without building it.

    Args:
        data: The pickle.
        file: Name of the file, for messages.
        states_of: Classes that it may hold objects of, such as `tiktoken.core.Encoding`: of these,
            the dict that is their state.

    Returns:
        As `read_pickle` does, with `bytes` among the values and plain values for those above.

    Raises:
        FormatError: It holds an object of another class, is damaged, too large or nested too
            deeply.
    """
    machine = ForeignInterpreter(data, file, frozenset(states_of))
    return machine.run(), machine.storages


@frozen
class Constructor:
    """What a class or function of the file makes of its arguments."""

    make: Callable[[ForeignInterpreter, tuple[Any, ...]], Any]


@define
class _NumpyType:
    """A dtype of numpy: its code, such as `f8`, and its byte order in the terms of `struct`."""

    code: str
    order: str = "<"


class ForeignInterpreter(Interpreter):
    """A pickle machine that makes no calls, and knows plain values."""

    operations: ClassVar[dict[int, Operation]] = Interpreter.operations | OTHER_OPERATIONS
    leaves: ClassVar[tuple[type, ...]] = (*Interpreter.leaves, bytes)
    keys: ClassVar[tuple[type, ...]] = (str, bytes)

    def __init__(self, data: bytes, file: str, states_of: frozenset[str]) -> None:
        """Prepare to read a pickle; see `read_foreign_pickle` for the arguments."""
        super().__init__(data, file)
        self.states_of = states_of
        self.numbers = 0  # unpacked from arrays of numpy
        self.copied_values = self.copied_bytes = 0  # by calls and states, in few bytes of the file
        self.made: dict[int, Any] = {}  # arrays and namespaces by identity, until their state came

    def skip_protocol(self) -> None:
        """Go to the first operation; reject a protocol that Python does not have."""
        if self.data[:1] == b"\x80":
            if self.data[1] not in _PROTOCOLS:
                self.reject(f"has a pickle of protocol {self.data[1]}", kind="protocol")
            self.position = 2

    def find_global(self, name: bytes) -> Any:
        """Return what stands for a function or class, also for one that holds plain values."""
        if name in _VALUES:
            return _VALUES[name]
        if name.decode(errors="replace").replace("\n", ".") in self.states_of:
            return _DICT
        return super().find_global(name)

    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Return what stands for the result of a call."""
        if isinstance(function, Constructor):
            return self.count_copy(function.make(self, arguments))
        return super().call(function, arguments)

    def set_state(self, target: Any, state: Any) -> Any:
        """Return what an object becomes with the state that the file sets."""
        if isinstance(target, _NumpyType):
            if type(state) is not tuple or state[1] not in ("<", ">", "|", "="):
                raise ValueError
            target.order = ">" if state[1] == ">" else "<"
            return target
        if id(target) not in self.made:
            return super().set_state(target, state)
        del self.made[id(target)]  # one state each
        if type(target) is list:
            _, shape, dtype, is_by_column, data = state
            target[:] = _read_array(self, data, dtype, shape, is_by_column)
        elif type(state) is dict:
            target.update(self.count_copy(state))
        elif state is not None:
            raise ValueError
        return target

    def hold(self, made: Any) -> Any:
        """Return an object, to which the file may set a state."""
        self.made[id(made)] = made
        return made

    def count_copy(self, made: Any) -> Any:
        """Return what a few bytes of the file copied; reject more of it than a file may hold."""
        if isinstance(made, (str, bytes)):
            self.copied_bytes += len(made)
        elif isinstance(made, (list, tuple, dict)):
            self.copied_values += len(made)
        if self.copied_bytes > MAX_PICKLE_BYTES or self.copied_values > MAX_VALUES:
            self.reject("copies its values more often than any checkpoint does", kind="limit")
        return made

    def unpack(self, data: Any, dtype: Any) -> list[Any]:
        """Return the numbers or texts in some bytes of numpy, or the objects that it lists."""
        if type(dtype) is not _NumpyType:
            raise ValueError
        code = dtype.code
        if code == _OBJECTS and type(data) is list:
            self.count_copy(data)
            return list(data)
        if type(data) is not bytes:
            raise ValueError
        if code in _NUMBERS:
            self.count_numbers(len(data) // struct.calcsize(_NUMBERS[code]))
            return [n for (n,) in struct.iter_unpack(dtype.order + _NUMBERS[code], data)]
        if code[:1] == "U" and code[1:].isdecimal():
            return self.unpack_texts(data, 4 * int(code[1:]), dtype.order)
        return self.reject(f"holds values of numpy's type {code}", kind="global", fix=_CONVERT)

    def unpack_texts(self, data: bytes, size: int, order: str) -> list[str]:
        """Return texts of numpy, of `size` bytes each; one without any bytes is empty."""
        self.count_numbers(len(data) // 4)  # of characters
        encoding = "utf-32-be" if order == ">" else "utf-32-le"
        starts = range(0, len(data), size) if size else (0,)
        return [data[start : start + size].decode(encoding).rstrip("\0") for start in starts]

    def count_numbers(self, number: int) -> None:
        """Reject more of them than a file may hold."""
        self.numbers += number
        if self.numbers > MAX_VALUES:
            self.reject(f"holds more than {MAX_VALUES} numbers in arrays", kind="limit")


_CONVERT = "save it again with numbers of Python in its place"
_OBJECTS = "O8"
_NUMBERS = {
    "b1": "?",
    "f2": "e",
    "f4": "f",
    "f8": "d",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
}


def _read_array(
    machine: ForeignInterpreter, data: Any, dtype: Any, shape: Any, is_by_column: Any
) -> list[Any]:
    """Return an array of numpy as nested lists; one without dimensions as a list of one."""
    if (
        type(shape) is not tuple
        or len(shape) > MAX_DIMENSIONS
        or any(type(n) is not int or not 0 <= n < MAX_INDEX for n in shape)
    ):
        raise ValueError
    if is_by_column and len(shape) > 1:
        machine.reject("holds an array of numpy that lies by columns", "global", fix=_CONVERT)
    found = machine.unpack(data, dtype)
    if len(found) != math.prod(shape):
        raise ValueError
    for length in reversed(shape[1:]):
        if length == 0:
            return []
        found = [found[start : start + length] for start in range(0, len(found), length)]
    return found


def _make_first(kinds: type | tuple[type, ...]) -> Constructor:
    """Return what makes its only argument, if it is of these types."""

    def make(_: ForeignInterpreter, arguments: tuple[Any, ...]) -> Any:
        (value,) = arguments
        if not isinstance(value, kinds):
            raise TypeError
        return value

    return Constructor(make)


def _make_list(_: ForeignInterpreter, arguments: tuple[Any, ...]) -> list[Any]:
    items = arguments[0] if arguments else []  # a deque also has its greatest length
    if not isinstance(items, (list, tuple)):
        raise TypeError
    return list(items)


def _make_shape(machine: ForeignInterpreter, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_make_list(machine, arguments))


def _make_dict(machine: ForeignInterpreter, arguments: tuple[Any, ...]) -> Any:
    """Make a dict: of a dict, or empty; the factory of a `defaultdict` is no value."""
    given = [item for item in arguments if item is not None and type(item) is not Constructor]
    (items,) = given or ({},)
    if type(items) is not dict:
        raise ValueError
    return machine.hold(dict(items))


def _make_instance(machine: ForeignInterpreter, arguments: tuple[Any, ...]) -> Any:
    """Make what `copyreg` makes of a class, of the class `object` and of nothing."""
    made, base, state = arguments
    if base is not _OBJECT or state is not None:
        raise ValueError
    return machine.call(made, ())


def _make_early_tensor(machine: ForeignInterpreter, arguments: tuple[Any, ...]) -> Any:
    """Make a tensor of torch before 0.4: without `requires_grad` and hooks."""
    storage, offset, shape, stride = arguments
    today = machine.find_global(b"torch._utils\n_rebuild_tensor_v2")
    return machine.call(today, (storage, offset, shape, stride, False, {}))


def _make_path(_: ForeignInterpreter, arguments: tuple[Any, ...]) -> str:
    parts = [part for part in arguments if type(part) is str]
    if len(parts) != len(arguments):
        raise ValueError
    root = parts.pop(0) if parts and parts[0].endswith(("/", "\\")) else ""
    return root + "/".join(parts)


def _make_device(_: ForeignInterpreter, arguments: tuple[Any, ...]) -> str:
    return ":".join(str(part) for part in arguments if isinstance(part, (str, int)))


def _make_bytes(_: ForeignInterpreter, arguments: tuple[Any, ...]) -> bytes:
    """Make bytes, which protocols below 3 write as text; a `bytearray` of its bytes."""
    if len(arguments) == 1 and type(arguments[0]) is bytes:
        return arguments[0]
    text, encoding = arguments or ("", "latin1")
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError
    return text.encode("latin-1")


def _make_numpy_type(_: ForeignInterpreter, arguments: tuple[Any, ...]) -> _NumpyType:
    if type(arguments[0]) is not str:
        raise ValueError
    return _NumpyType(arguments[0].lstrip("<>|="), ">" if arguments[0][:1] == ">" else "<")


def _make_number(machine: ForeignInterpreter, arguments: tuple[Any, ...]) -> Any:
    dtype, data = arguments
    (number,) = machine.unpack(data, dtype)
    return number


def _make_array(machine: ForeignInterpreter, _: tuple[Any, ...]) -> Any:
    return machine.hold([])


def _make_buffered_array(machine: ForeignInterpreter, arguments: tuple[Any, ...]) -> list[Any]:
    data, dtype, shape, order = arguments
    return _read_array(machine, data, dtype, shape, order == "F")


_OBJECT = object()
_LIST, _DICT = Constructor(_make_list), Constructor(_make_dict)
_TORCH_TYPES = (
    "float16 float32 float64 bfloat16 float8_e4m3fn float8_e5m2 int8 int16 int32 int64 "
    "uint8 uint16 uint32 uint64 bool complex64 complex128"
)
_NUMPY_TYPES = (
    "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool bool_"
)


def _named(modules: str, names: str, value: Any) -> Iterable[tuple[bytes, Any]]:
    for module in modules.split():
        for name in names.split():
            yield f"{module}\n{name}".encode(), value


# What a file may name, by module and name, and what it stands for.
_VALUES: dict[bytes, Any] = dict(
    [
        *_named("builtins __builtin__", "set frozenset list tuple", _LIST),
        *_named("builtins __builtin__", "dict", _DICT),
        *_named("builtins __builtin__", "int long float bool", _make_first((int, float))),
        *_named("builtins __builtin__", "str unicode", _make_first(str)),
        *_named("builtins __builtin__", "bytes bytearray", Constructor(_make_bytes)),
        *_named("builtins __builtin__", "object", _OBJECT),
        *_named("_codecs", "encode", Constructor(_make_bytes)),
        *_named("copyreg copy_reg", "_reconstructor", Constructor(_make_instance)),
        *_named("collections", "defaultdict Counter", _DICT),
        *_named("collections", "deque", _LIST),
        *_named("argparse", "Namespace", _DICT),
        *_named("types", "SimpleNamespace", _DICT),
        *_named(
            "pytorch_lightning.utilities.parsing lightning.fabric.utilities.data "
            "lightning_fabric.utilities.data lightning.pytorch.utilities.parsing",
            "AttributeDict",
            _DICT,
        ),
        *_named(
            "pathlib pathlib._local",
            "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath",
            Constructor(_make_path),
        ),
        *_named("torch._utils", "_rebuild_tensor", Constructor(_make_early_tensor)),
        *_named("torch", "Size", Constructor(_make_shape)),
        *_named("torch", "device", Constructor(_make_device)),
        *_named("torch.torch_version", "TorchVersion", _make_first(str)),
        *((f"torch\n{name}".encode(), name) for name in _TORCH_TYPES.split()),
        *((f"numpy\n{name}".encode(), name) for name in _NUMPY_TYPES.split()),
        *_named("numpy", "dtype", Constructor(_make_numpy_type)),
        *_named("numpy", "ndarray", Constructor(_make_array)),
        *_named(
            "numpy.core.multiarray numpy._core.multiarray", "scalar", Constructor(_make_number)
        ),
        *_named(
            "numpy.core.multiarray numpy._core.multiarray",
            "_reconstruct",
            Constructor(_make_array),
        ),
        *_named(
            "numpy.core.numeric numpy._core.numeric",
            "_frombuffer",
            Constructor(_make_buffered_array),
        ),
    ]
)
