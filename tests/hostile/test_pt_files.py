"""Files that mean harm: every one is refused by one error, before torch is imported.

They are read in a process that may have 512 MB and is stopped where it starts anything.
"""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import pytest

from mypt.format.errors import FormatError
from mypt.format.tensors.pt_file import read_header

# An assembler for the pickles of protocol 2 that torch writes.


def number(value):
    length = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def tupled(*items):
    return b"(" + b"".join(items) + b"t"


def storage(kind="FloatStorage", key="0", location="cpu", numel=4, module="torch"):
    return (
        tupled(text("storage"), named(module, kind), text(key), text(location), number(numel))
        + b"Q"
    )


def tensor(
    held=None, offset=0, shape=(2, 2), stride=(2, 1), function="_rebuild_tensor_v2", more=b""
):
    dimensions = [tupled(*map(number, numbers)) for numbers in (shape, stride)]
    hooks = named("collections", "OrderedDict") + b")R"
    arguments = tupled(held or storage(), number(offset), *dimensions, b"\x89", hooks, more)
    return named("torch._utils", function) + arguments + b"R"


def state(value):
    return b"\x80\x02}(" + text("w") + value + b"u."


def call(function, *arguments):
    return state(function + tupled(*arguments) + b"R")


class Gadget:
    def __reduce__(self):
        return os.system, ("touch owned",)


def pickled(value, protocol=2):
    return pickle.dumps({"w": value}, protocol)


def looped():
    """A list that holds itself."""
    return b"\x80\x02]q\x00h\x00a."


def laughing():
    """A billion values out of a hundred bytes."""
    layers = b"".join(
        b"(" + b"h" + bytes([i]) * 1 + (b"h" + bytes([i])) * 9 + b"t" + b"q" + bytes([i + 1])
        for i in range(12)
    )
    return b"\x80\x02)q\x00" + layers + b"."


PICKLES = {
    "a gadget that calls os.system": pickled(Gadget()),
    "a gadget of protocol 4": pickled(Gadget(), 4),
    "a gadget of protocol 0": pickled(Gadget(), 0),
    "eval": call(named("builtins", "eval"), text("1")),
    "python 2's eval": call(named("__builtin__", "eval"), text("1")),
    "getattr": call(named("builtins", "getattr"), text("a"), text("b")),
    "torch.load": call(named("torch", "load"), text("other.pt")),
    "torch.hub.load": call(named("torch.hub", "load"), text("a"), text("b")),
    "a numpy scalar": call(named("numpy.core.multiarray", "scalar"), text("a")),
    "a numpy array rebuilt": call(
        named("torch._utils", "_rebuild_device_tensor_from_numpy"), text("a")
    ),
    "a sparse tensor": call(named("torch._utils", "_rebuild_sparse_tensor"), tensor()),
    "a quantized tensor": call(named("torch._utils", "_rebuild_qtensor"), storage()),
    "a meta tensor": call(named("torch._utils", "_rebuild_meta_tensor_no_storage"), text("a")),
    "a wrapper subclass": call(named("torch._utils", "_rebuild_wrapper_subclass"), text("a")),
    "a tensor with attributes": call(named("torch._tensor", "_rebuild_from_type_v2"), tensor()),
    "a tensor of version 3": state(tensor(function="_rebuild_tensor_v3")),
    "a nested tensor": call(named("torch._utils", "_rebuild_nested_tensor"), tensor()),
    "an untyped storage": state(storage("UntypedStorage", module="torch.storage")),
    "a complex storage": state(tensor(storage("ComplexFloatStorage"))),
    "a quantized storage": state(tensor(storage("QInt8Storage"))),
    "a class built by INST": b"\x80\x02(ios\nsystem\n.",
    "a class built by OBJ": b"\x80\x02(" + named("os", "system") + b"o.",
    "a class built by NEWOBJ": b"\x80\x02" + named("collections", "OrderedDict") + b")\x81.",
    "a registered extension": b"\x80\x02\x82\x01.",
    "a text reference": b"\x80\x02P0\n.",
    "a set": b"\x80\x02\x8f.",
    "a function as value": state(named("collections", "OrderedDict")),
    "a storage as value": state(storage()),
    "a storage class as value": state(named("torch", "FloatStorage")),
    "a call of text": call(text("os.system"), text("a")),
    "a call of a storage class": call(named("torch", "FloatStorage"), number(10**12)),
    "a dict from pairs": call(
        named("collections", "OrderedDict"), b"](" + tupled(text("a"), number(1)) + b"e"
    ),
    "attributes on a dict": state(
        named("collections", "OrderedDict") + b")R}(" + text("items") + number(1) + b"ub"
    ),
    "attributes on a list": state(b"]}b"),
    "negative sizes": state(tensor(shape=(-2, 2))),
    "negative strides": state(tensor(stride=(2, -1))),
    "a negative offset": state(tensor(offset=-1)),
    "an offset beyond the storage": state(tensor(offset=1)),
    "an offset far beyond of nothing": state(tensor(offset=10**15, shape=(0,), stride=(1,))),
    "strides beyond the storage": state(tensor(stride=(4, 1))),
    "a shape beyond the storage": state(tensor(shape=(10**9, 10**9), stride=(1, 1))),
    "a shape expanded out of one value": state(tensor(shape=(10**9,), stride=(0,))),
    "sizes that overflow": state(tensor(shape=(2**62, 8), stride=(1, 1))),
    "sizes beyond 64 bits": state(tensor(shape=(2**64,), stride=(1,))),
    "a thousand dimensions": state(tensor(shape=(1,) * 1000, stride=(1,) * 1000)),
    "sizes without strides": state(tensor(shape=(2, 2), stride=(1,))),
    "sizes that are no numbers": state(tensor().replace(number(2), b"\x88", 1)),
    "a tensor without storage": state(tensor(text("0"))),
    "a tensor with too many arguments": state(tensor(more=b"N")),
    "hooks": state(tensor().replace(b")R", b")R(K\x01K\x02u", 1)),
    "a storage larger than its file": state(tensor(storage(numel=10**12))),
    "a storage smaller than its file": state(tensor(storage(numel=3), shape=(3,), stride=(1,))),
    "a storage of a negative size": state(tensor(storage(numel=-4))),
    "a storage that is missing": state(tensor(storage(key="7"))),
    "a missing storage that nothing uses": state(
        named("collections", "OrderedDict") + b")R}(" + text("_metadata") + storage(key="7") + b"ub"
    ),
    "a storage with a path for a key": state(tensor(storage(key="../0"))),
    "a storage on the meta device": state(tensor(storage(location="meta"))),
    "a storage on an odd device": state(tensor(storage(location="cpu; rm"))),
    "a storage of two dtypes": b"\x80\x02]"
    + tensor()
    + b"a"
    + tensor(storage("IntStorage"))
    + b"a.",
    "a storage that is none": state(tupled(text("module"), text("0")) + b"Q"),
    "a parameter of nothing": call(
        named("torch._utils", "_rebuild_parameter"), text("w"), b"\x88", b"}"
    ),
    "deep nesting": b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
    "a list that holds itself": looped(),
    "a billion values": laughing(),
    "more operations than any checkpoint": b"\x80\x02](" + b"]" * 2_100_000 + b"e.",
    "a key that is a list": b"\x80\x02}]K\x01s.",
    "a key of many digits": b"\x80\x02}" + number(2**61 - 1) + b"K\x01s.",
    "a missing memory": b"\x80\x02h\x05.",
    "an empty stack": b"\x80\x02.",
    "a mark that was never set": b"\x80\x02t.",
    "an append to text": b"\x80\x02" + text("a") + b"K\x01a.",
    "an odd number of items": b"\x80\x02}(K\x01u.",
    "text longer than the file": b"\x80\x02X\xff\xff\xff\xffabc.",
    "text that is no UTF-8": b"\x80\x02X\x01\x00\x00\x00\xff.",
    "no end": b"\x80\x02}",
    "more after the end": state(tensor()) + b"cos\nsystem\n.",
    "nothing": b"",
}


def archive(content=None, name="archive", compress=zipfile.ZIP_STORED, **members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compress) as file:
        file.writestr(f"{name}/data.pkl", state(tensor()) if content is None else content)
        file.writestr(f"{name}/data/0", bytes(16))
        for member, data in members.items():
            file.writestr(member, data)
    return stream.getvalue()


def twice(first, second):
    """Two members of one name, which zipfile only warns of."""
    return archive(**{first: bytes(16)}).replace(first.encode(), second.encode())


def patched(field, value, *, signature, at=0, data=None):
    """Overwrite bytes of the first header with this signature."""
    data = bytearray(data or archive())
    start = data.index(signature, at) + field
    data[start : start + len(value)] = value
    return bytes(data)


def overlapping():
    """A member inside another one, each consistent in itself."""
    inner = archive(**{"archive/data/1": bytes(16)})
    start = inner.index(LOCAL, inner.index(b"archive/data/0"))
    inside = inner[start : inner.index(CENTRAL)]
    whole = archive(**{"archive/data/2": inside, "archive/data/1": bytes(16)})
    entry = whole.rindex(CENTRAL)
    offset = whole.index(inside).to_bytes(4, "little")
    return patched(42, offset, signature=CENTRAL, at=entry, data=whole)


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
WHOLE = archive()
ARCHIVES = {
    "compressed members": archive(compress=zipfile.ZIP_DEFLATED),
    "a zip bomb": archive(compress=zipfile.ZIP_DEFLATED, **{"archive/data/1": bytes(50_000_000)}),
    "a member twice": twice("archive/data/9", "archive/data/0"),
    "a member twice in other letters": archive(**{"archive/DATA/0": bytes(16)}),
    "another pickle in other letters": archive(**{"archive/Data.pkl": b"\x80\x02}."}),
    "a name that climbs": archive(**{"archive/../owned": b"x"}),
    "a name that climbs inside": archive(**{"archive/data/../../owned": b"x"}),
    "an absolute name": archive(**{"/owned": b"x"}),
    "a name with a backslash": archive(**{"archive/data/..\\owned": b"x"}),
    "an archive called ..": archive(name=".."),
    "two archives in one": archive(**{"other/data/1": b"x"}),
    "a member outside of all": archive(**{"data.pkl": b"x"}),
    "a folder": archive(**{"archive/data/": b""}),
    "a TorchScript program": archive(**{"archive/constants.pkl": b"x", "archive/code/a.py": b"x"}),
    "no pickle": twice("archive/data/9", "archive/data/1").replace(b"data.pkl", b"data.pkX"),
    "a big-endian file": archive(**{"archive/byteorder": b"big"}),
    "an odd byte order": archive(**{"archive/byteorder": b"little" * 10**6}),
    "an encrypted member": patched(
        8, b"\x01", signature=CENTRAL, data=patched(6, b"\x01", signature=LOCAL)
    ),
    "an unknown method in one header": patched(8, b"\x08", signature=LOCAL),
    "two sizes in two headers": patched(22, b"\x01", signature=LOCAL),
    "two checksums in two headers": patched(14, b"\x00\x00\x00\x00", signature=LOCAL),
    "two names in two headers": patched(30, b"Archive", signature=LOCAL),
    "a member beyond the file": patched(20, b"\xff\xff\xff\x0f" * 2, signature=CENTRAL),
    "a header beyond the file": patched(42, b"\xff\xff\xff\x0f", signature=CENTRAL),
    "a header in another member": patched(
        42, b"\x00\x00\x00\x00", signature=CENTRAL, at=WHOLE.index(CENTRAL) + 4
    ),
    "a member inside another one": overlapping(),
    "a size of 64 bits that is nowhere": patched(24, b"\xff\xff\xff\xff", signature=CENTRAL),
    "more members than there are": patched(8, b"\xff\xff" * 2, signature=END),
    "fewer members than there are": patched(8, b"\x01\x00" * 2, signature=END),
    "several disks": patched(4, b"\x01\x00", signature=END),
    "a directory elsewhere": patched(16, b"\x00\x00\x00\x00", signature=END),
    "a comment": patched(20, b"\x05\x00", signature=END) + b"hello",
    "bytes after the end": WHOLE + b"\0",
    "bytes before the beginning": b"\0" * 64 + WHOLE,
    "cut in the directory": WHOLE[:-30],
    "cut in the first header": WHOLE[:20],
    "an empty file": b"",
    "text": b"hello\n" * 100,
    "a bare pickle": pickled(Gadget()),
}
# A file as torch wrote it before 1.6: what comes before the value, and after it.
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}" + (
    text("little_endian") + b"\x88s."
)


def legacy(content=None, keys=("0",), *, numel=4, size=16, start=LEGACY):
    """A file of that form; its references to storages have one more value."""
    content = state(tensor()) if content is None else content
    listed = b"\x80\x02](" + b"".join(map(text, keys)) + b"e."
    held = struct.pack("<q", numel) + bytes(size)
    return start + content.replace(b"tQ", b"NtQ") + listed + held


OLD = legacy()
# Of what other programs save, readers of foreign files know these.
KNOWN_TO_READERS = {"a class built by NEWOBJ", "a set"}
LEGACY_FILES = {
    "more values than it says": legacy(numel=5),
    "fewer bytes than it says": legacy(size=15),
    "more bytes than it says": legacy(size=17),
    "a size that is negative": legacy(numel=-1),
    "a size beyond all memory": legacy(
        state(tensor(storage(numel=2**61), shape=(2**61,), stride=(1,))), numel=2**61
    ),
    "a size that overflows": legacy(
        state(tensor(storage(numel=2**62), shape=(4,), stride=(1,))), numel=2**62
    ),
    "no list of keys": OLD[: OLD.rindex(b"\x80\x02]")],
    "keys that are none of it": legacy(keys=("7",)),
    "a key twice": legacy(keys=("0", "0")),
    "no keys": legacy(keys=()),
    "keys that are a tensor": legacy().replace(b"\x80\x02](" + text("0") + b"e.", state(tensor())),
    "another version": legacy(start=LEGACY.replace(b"M\xe9\x03", b"M\xea\x03")),
    "a big-endian machine": legacy(start=LEGACY[:-3] + b"\x89s."),
    "no machine": legacy(start=LEGACY.replace(b"}" + text("little_endian") + b"\x88s", b"N")),
    "a gadget in the place of the version": legacy(
        start=LEGACY.replace(b"\x80\x02M\xe9\x03.", pickled(Gadget()))
    ),
    "a gadget in the place of the keys": OLD[: OLD.rindex(b"\x80\x02]")] + pickled(Gadget()),
    "a view of a storage": legacy().replace(b"NtQ", tupled(text("1"), b"K\x00K\x01") + b"tQ"),
    "a module": legacy(state(tupled(text("module"), text("0"), b"NN") + b"Q")),
    "a bomb of marks": LEGACY + b"\x80\x02" + b"(" * 3_000_000,
    **{f"cut at {end}": OLD[:end] for end in range(20, len(OLD), 11)},
}
FILES = {
    **{f"pickle: {name}": archive(content) for name, content in PICKLES.items()},
    **{f"archive: {name}": data for name, data in ARCHIVES.items()},
    **{f"legacy file: {name}": data for name, data in LEGACY_FILES.items()},
    **{
        f"legacy pickle: {name}": legacy(content)
        for name, content in PICKLES.items()
        if name not in KNOWN_TO_READERS
    },
}

CHILD = """
import json, resource, sys
from pathlib import Path

resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))

def forbid(event, _):
    bad = "os.exec", "os.fork", "os.posix_spawn", "os.system", "subprocess.", "socket.", "pickle."
    if event.startswith(bad):
        raise SystemExit(f"the file made us do {event}")

sys.addaudithook(forbid)
from mypt.format.errors import FormatError
from mypt.format.tensors.pt_file import read_header

report = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_header(path, "hostile.pt", is_foreign=path.suffix == ".old")
        said = None
    except FormatError as error:
        said = str(error)
    report[path.name] = said
print(json.dumps({"report": report, "torch": "torch" in sys.modules}))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for index, (name, data) in enumerate(FILES.items()):
        suffix = ".old" if name.startswith("legacy") else ".pt"
        (folder / f"{index:03}{suffix}").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    result["report"] = dict(zip(FILES, result["report"].values(), strict=True))
    return result


def test_the_file_they_are_made_from_is_well(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(WHOLE)
    assert read_header(path, "x.pt").tensors()["w"].shape == (2, 2)
    path.write_bytes(OLD)
    assert read_header(path, "x.pt", is_foreign=True).tensors()["w"].shape == (2, 2)


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_in_one_line(name, outcome):
    said = outcome["report"][name]
    assert said is not None, "it was accepted"
    assert said.startswith("hostile.pt")
    assert said.isprintable()
    assert len(said) < 400


def test_none_of_them_imports_torch(outcome):
    assert not outcome["torch"]


def test_there_are_many_of_them():
    assert len(FILES) > 60


def test_what_is_no_regular_file_is_not_even_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")  # opening it would wait for a writer
    (tmp_path / "folder.pt").mkdir()
    (tmp_path / "zero.pt").symlink_to("/dev/zero")
    for path in tmp_path.iterdir():
        with pytest.raises(FormatError, match="is not a regular file"):
            read_header(path, path.name)


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 37))
def test_a_truncated_file_is_refused_wherever_it_ends(cut, tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(WHOLE[:cut])
    with pytest.raises(FormatError):
        read_header(path, "x.pt")
