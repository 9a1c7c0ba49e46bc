"""The functions and classes that the pickle of a checkpoint may name, and those that it may not.

None is imported: what a file names is looked up here, or refused by its name.
"""

from __future__ import annotations

import re
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn

from mypt.format.tensors.info import STORAGES, StorageInfo
from mypt.format.tensors.pickles.pickle_machine import SAVE_PLAIN

if TYPE_CHECKING:
    from mypt.format.tensors.pickles.pickle_machine import PickleMachine


class TorchFunction(Enum):
    """The functions that a file may call; here they are never called, only recognised."""

    TENSOR = "_rebuild_tensor_v2"
    PARAMETER = "_rebuild_parameter"
    DICT = "OrderedDict"


# The two lines that follow the opcode GLOBAL: module and name.
GLOBALS: dict[bytes, Any] = {
    b"torch._utils\n_rebuild_tensor_v2": TorchFunction.TENSOR,
    b"torch._utils\n_rebuild_parameter": TorchFunction.PARAMETER,
    b"collections\nOrderedDict": TorchFunction.DICT,
    # a storage class is represented by an empty storage of that class
    **{f"torch\n{name}".encode(): StorageInfo(kind, "", 0) for name, (kind, _) in STORAGES.items()},
}
# Kinds of tensors that torch can save and no mypt checkpoint contains.
_OTHER_TENSORS = re.compile(
    rb"torch(\._utils\n_rebuild_(tensor_v3|qtensor|sparse_tensor)|\n(Complex\w+|Q\w+)Storage)"
)
# Modules of Python with classes of values. What others offer does something when it is called.
_HOLDS_VALUES = frozenset(
    {
        "argparse",
        "array",
        "collections",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "pathlib",
        "uuid",
    }
)
_VALUE_CLASS = re.compile(
    rb"(builtins|__builtin__)\n(bool|bytearray|bytes|complex|dict|float|frozenset|int|list|object"
    rb"|long|range|set|slice|str|tuple|unicode|xrange|Ellipsis)"
)
_DANGEROUS = {*sys.stdlib_module_names, "__builtin__", "commands", "pip"} - _HOLDS_VALUES
_CONVERT = "save it with its tensors converted to float32, float16 or bfloat16"


def reject_name(machine: PickleMachine, name: bytes) -> NoReturn:
    """Reject a name that is not one of `GLOBALS`, by what it stands for.

    Args:
        machine: The machine whose file has it.
        name: Module and name, with a newline between them.
    """
    place = name[:100].decode(errors="replace").replace("\n", ".", 1)
    shown = place if place.isprintable() else repr(place)
    if _OTHER_TENSORS.fullmatch(name):
        what = f"holds a tensor that mypt does not read ({shown})"
        machine.reject(what, kind="global", fix=_CONVERT)
    package = re.split(rb"[.\n]", name)[0].decode(errors="replace")
    if package in _DANGEROUS and not _VALUE_CLASS.fullmatch(name):
        machine.reject(f"names {shown}, which no checkpoint needs", kind="global")
    what = f"holds an object of {shown}, which only the program that wrote it can build"
    machine.reject(what, kind="global", fix=SAVE_PLAIN)
