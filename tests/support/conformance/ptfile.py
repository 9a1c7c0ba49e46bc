"""Build `.pt` files byte by byte, also ones that no writer should write."""

import io
import struct
import zipfile
from math import prod

from attrs import evolve, frozen

from mypt.format.tensors.info import STORAGES
from mypt.format.tensors.zip_writer import ArchiveWriter

CLASSES = {dtype: name for name, (dtype, _) in STORAGES.items()}


@frozen(eq=False)
class Tensor:
    """Values to store: dtype, shape and bytes; the same object twice shares its storage.

    Attributes:
        stride: Of other than contiguous tensors.
        offset: Values of the storage before its first.
        held: Number of values that the storage is said to have.
        location: Where the storage is said to be.
        owner: Whose storage it uses, if not its own.
    """

    dtype: str
    shape: tuple
    data: bytes
    stride: tuple = None
    offset: int = 0
    held: int = None
    location: str = "cpu"
    owner: object = None


def values(dtype, shape, start=0):
    """Give a tensor of small numbers that every floating dtype holds exactly."""
    numbers = [(((start + i) * 97) % 255 - 127) / 256 for i in range(prod(shape))]
    if dtype == "bfloat16":
        data = b"".join(struct.pack("<f", number)[2:] for number in numbers)
    elif dtype == "int64":
        data = struct.pack(f"<{len(numbers)}q", *range(start, start + len(numbers)))
    else:
        code = {"float64": "d", "float32": "f", "float16": "e"}[dtype]
        data = struct.pack(f"<{len(numbers)}{code}", *numbers)
    return Tensor(dtype, shape, data)


class Writer:
    """A pickle in the making, as section 11.4 of the specification wants it."""

    def __init__(self):
        self.storages = []

    def value(self, value):
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        if isinstance(value, int):
            return self.integer(value)
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        if isinstance(value, str):
            text = value.encode()
            return b"X" + struct.pack("<I", len(text)) + text
        if isinstance(value, Tensor):
            return self.tensor(value)
        if isinstance(value, dict):
            pairs = b"".join(self.value(k) + self.value(v) for k, v in value.items())
            return b"}(" + pairs + b"u"
        items = b"".join(map(self.value, value))
        return b"](" + items + b"e" if isinstance(value, list) else b"(" + items + b"t"

    def integer(self, value):
        if 0 <= value < 1 << 8:
            return b"K" + struct.pack("<B", value)
        if 0 <= value < 1 << 16:
            return b"M" + struct.pack("<H", value)
        if -(1 << 31) <= value < 1 << 31:
            return b"J" + struct.pack("<i", value)
        length = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)

    def tensor(self, tensor):
        owner = tensor.owner or tensor
        if owner not in self.storages:
            self.storages.append(owner)
        key = self.storages.index(owner)
        held = prod(owner.shape) if tensor.held is None else tensor.held
        stride = tensor.stride
        if stride is None:
            stride = tuple(
                prod(max(size, 1) for size in tensor.shape[i + 1 :])
                for i in range(len(tensor.shape))
            )
        kind = f"ctorch\n{CLASSES[tensor.dtype]}\n".encode()
        storage = self.value("storage") + kind
        storage += b"".join(map(self.value, [str(key), tensor.location, held]))
        arguments = b"".join(map(self.value, [tensor.offset, tensor.shape, stride, False]))
        return (
            b"ctorch._utils\n_rebuild_tensor_v2\n(("
            + storage
            + b"tQ"
            + arguments
            + b"ccollections\nOrderedDict\n)RtR"
        )


def members_of(value, *, pickle=None):
    """Give the members of an archive, in order.

    Args:
        value: What it is to hold.
        pickle: Changes the pickle's bytes.
    """
    writer = Writer()
    data = b"\x80\x02" + writer.value(value) + b"."
    members = {"data.pkl": pickle(data) if pickle else data, "byteorder": b"little"}
    members |= {f"data/{key}": tensor.data for key, tensor in enumerate(writer.storages)}
    return {**members, "version": b"3\n"}


def archive(members, folder="archive"):
    """Write members as mypt does; a pair list may hold names twice."""
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, folder)
    for name, content in members.items() if isinstance(members, dict) else members:
        writer.write(name, content)
    writer.close()
    return stream.getvalue()


def deflated(members):
    """Write members as deflate streams of stored blocks, whose bytes depend on no library."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for name, content in members.items():
            info = zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0))
            target.writestr(info, content, zipfile.ZIP_DEFLATED, compresslevel=0)
    return stream.getvalue()


def like_torch(value):
    """Write what torch.save gives: another folder, memo, ordered dicts, more members."""

    def pickle(data):
        body = data[4:-2]  # the pairs of the outermost dict
        metadata = b"}q\x01X\x09\x00\x00\x00_metadataq\x02}q\x03sb"
        return b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x04(" + body + b"u" + metadata + b"."

    members = members_of(value, pickle=pickle)
    head = {"data.pkl": members.pop("data.pkl"), ".format_version": b"1"}
    head |= {".storage_alignment": b"64", "byteorder": members.pop("byteorder")}
    tail = {".data/serialization_id": b"0123456789"}
    return archive({**head, **members, **tail}, "model")


def shared(tensor, **changes):
    """Give another view of a tensor's storage."""
    return evolve(tensor, owner=tensor.owner or tensor, **changes)
