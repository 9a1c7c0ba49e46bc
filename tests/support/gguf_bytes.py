"""The bytes of small GGUF files, byte by byte, so that any of them can be wrong."""

import struct

U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
SHAPES = {"matrix": (2, 64), "halves": (3,), "rows": (2, 3)}
KINDS = {"matrix": 8, "halves": 1, "rows": 0}
SIZES = {8: lambda numel: numel // 32 * 34, 1: lambda numel: 2 * numel, 0: lambda numel: 4 * numel}


def pack_string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def pack_value(kind, value):
    if kind == STRING:
        return pack_string(value)
    return struct.pack({U32: "<I", F32: "<f", BOOL: "<?"}[kind], value)


def pack_entry(key, kind, value):
    return pack_string(key) + struct.pack("<I", kind) + pack_value(kind, value)


def pack_list(key, kind, values):
    items = b"".join(pack_value(kind, value) for value in values)
    return pack_string(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + items


STANDARD = [
    pack_entry("general.architecture", STRING, "llama"),
    pack_list("list", STRING, ["a", "bc", ""]),
    pack_list("numbers", F32, [1.5, -2.0]),
    pack_entry("yes", BOOL, True),
]


def make_file(
    *,
    version=3,
    entries=(),
    tensor_count=None,
    entry_count=None,
    names=None,
    shapes=None,
    kinds=None,
    offsets=None,
    dimensions=None,
    alignment=32,
):
    """Return a file of three tensors; what is given stands in the place of what would be right."""
    held = [*STANDARD, *entries]
    infos, data = b"", b""
    for number, (name, shape) in enumerate(SHAPES.items()):
        numel = 1
        for size in shape:
            numel *= size
        own = (shapes or {}).get(name, shape)
        count = len(own) if dimensions is None else dimensions
        infos += pack_string(name if names is None else names[number])
        infos += struct.pack(f"<I{len(own)}Q", count, *reversed(own))
        offset = (offsets or {}).get(name, len(data))
        infos += struct.pack("<IQ", (kinds or {}).get(name, KINDS[name]), offset)
        data += bytes([number + 1]) * SIZES[KINDS[name]](numel)
        data += bytes(-len(data) % alignment)
    counts = (
        len(SHAPES) if tensor_count is None else tensor_count,
        len(held) if entry_count is None else entry_count,
    )
    start = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(held) + infos
    return start + bytes(-len(start) % alignment) + data
