"""What people save beside their tensors is read as the plain values that it holds."""

import argparse
import collections
import datetime
import os
import pathlib
import pickle
import struct
import tracemalloc
import types
import uuid
from contextlib import suppress

import numpy as np
import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.tensors.pickles.foreign_pickle import read_foreign_pickle
from mypt.format.tensors.pt_file import load_tensors, read_header

NAMESPACE = argparse.Namespace(n_layer=2, dropout=0.5)
VALUES = {
    "a float of numpy": (np.float64(0.25), 0.25),
    "a float32 of numpy": (np.float32(0.5), 0.5),
    "an int of numpy": (np.int64(-7), -7),
    "an unsigned int": (np.uint8(200), 200),
    "a bool of numpy": (np.bool_(True), True),
    "a text of numpy": (np.str_("né"), "né"),
    "big-endian": (np.array([1, 2], ">i4"), [1, 2]),
    "an array": (np.arange(6.0).reshape(2, 3), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
    "an empty array": (np.zeros((2, 0)), []),
    "a namespace": (NAMESPACE, {"n_layer": 2, "dropout": 0.5}),
    "a simple namespace": (types.SimpleNamespace(a=[1]), {"a": [1]}),
    "a dtype": (torch.bfloat16, "bfloat16"),
    "a device": (torch.device("cuda", 1), "cuda:1"),
    "a shape": (torch.Size([2, 3]), (2, 3)),
    "a set": ({7}, [7]),
    "a frozen set": (frozenset({"a"}), ["a"]),
    "a path": (pathlib.PosixPath("/home/x.txt"), "/home/x.txt"),
    "a relative path": (pathlib.PurePosixPath("a/b"), "a/b"),
    "a default dict": (collections.defaultdict(list, {"a": [1]}), {"a": [1]}),
    "a counter": (collections.Counter("aab"), {"a": 2, "b": 1}),
    "an ordered dict": (collections.OrderedDict(a=1), {"a": 1}),
    "a default dict of numbers": (collections.defaultdict(int, {"a": 1}), {"a": 1}),
    "a deque": (collections.deque([1, 2]), [1, 2]),
    "a deque with a limit": (collections.deque([1, 2], maxlen=5), [1, 2]),
    "an array of bytes": (bytearray(b"\x00\xff"), b"\x00\xff"),
    "texts of numpy": (np.array([["a"], ["né"]]), [["a"], ["né"]]),
    "objects of numpy": (np.array([1, "a"], object), [1, "a"]),
    "a type of numpy": (np.uint16, "uint16"),
    "bytes": (b"\x00\xff", b"\x00\xff"),
    "a long text": ("x" * 300, "x" * 300),
    "a large number": (2**100, 2**100),
    "numbers": ([0, -1, 255, 256, 65536, -(2**31), 1.5, True, None], None),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", VALUES)
def test_a_plain_value_is_read_as_what_it_holds(kind, protocol):
    value, held = VALUES[kind]
    held = value if held is None else held
    data = pickle.dumps({"one": value, "again": [value, "after"]}, protocol)
    contents, storages = read_foreign_pickle(data, "x")
    assert contents == {"one": held, "again": [held, "after"]}
    assert type(contents["one"]) is type(held)
    assert storages == {}


def test_the_random_state_of_numpy_is_a_plain_value():
    state = np.random.RandomState(1).get_state()
    contents, _ = read_foreign_pickle(pickle.dumps(state, 2), "x")
    assert contents[0] == "MT19937"
    assert contents[1] == state[1].tolist()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_beside_them_are_those_of_torch(tmp_path, protocol):
    tied = torch.rand(3, 4)
    value = {
        "state_dict": {"a": tied, "b": tied, "part": tied[1:, ::2], "ids": torch.arange(3)},
        "config": NAMESPACE,
        "best": np.float64(1.5),
        "parameter": torch.nn.Parameter(torch.zeros(2)),
    }
    path = tmp_path / "x.pt"
    torch.save(value, path, pickle_protocol=protocol)
    found = load_tensors(path, "x.pt", is_foreign=True)
    assert found["config"] == vars(NAMESPACE)
    assert found["best"] == 1.5
    weights = found["state_dict"]
    assert all(torch.equal(weights[n], value["state_dict"][n]) for n in value["state_dict"])
    assert weights["a"].data_ptr() == weights["b"].data_ptr()
    assert weights["part"].stride() == (4, 2)


def test_a_file_of_a_bundle_holds_none_of_them(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"a": np.float64(1.5)}, path)
    with pytest.raises(FormatError, match=r"numpy\._?core.*scalar"):
        read_header(path, "x.pt")
    torch.save({"a": torch.zeros(1)}, path, pickle_protocol=4)
    with pytest.raises(FormatError, match="protocol is not torch's 2; save it again"):
        read_header(path, "x.pt")


class Config:
    """A class that only its program has."""


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Config(), "test_foreign_pickle.Config"),
        (Config, "test_foreign_pickle.Config"),
        (datetime.date(2024, 1, 1), "datetime.date"),
        (np.datetime64("2024"), "numpy's type M8"),
        (1j, "complex"),
        (uuid.UUID(int=1), "uuid.UUID"),
        (int, "a type, a storage or a function"),
        (np.dtype("f4"), "a type, a storage or a function"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_an_object_of_another_class_is_named_without_an_accusation(value, name, protocol):
    with pytest.raises(FormatError) as caught:
        read_foreign_pickle(pickle.dumps({"config": value}, protocol), "x")
    (problem,) = caught.value.problems
    assert name in problem.what
    assert "save it again" in problem.fix
    assert "trust" not in str(problem)


class Attack:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "argument"),
    [(eval, "1"), (exec, "1"), (getattr, "x"), (__import__, "os"), (os.system, "true")],
)
def test_a_call_that_does_something_is_not_trusted(function, argument, protocol):
    data = pickle.dumps([Attack(function, argument)], protocol)
    with pytest.raises(FormatError, match="do not trust its source"):
        read_foreign_pickle(data, "x")


def test_arrays_do_not_grow_beyond_measure():
    data = pickle.dumps([np.zeros(400_000, np.uint8) + i for i in range(3)], 4)
    with pytest.raises(FormatError, match="holds more than 1000000 numbers"):
        read_foreign_pickle(data, "x")


def _call_often(function: bytes, argument: bytes, call: bytes = b"h\x01h\x00\x85R") -> bytes:
    """Return a pickle of a list of what many calls make of one argument."""
    module, name = function.split(b".")
    start = b"\x80\x04" + argument + b"q\x000c" + module + b"\n" + name + b"\nq\x010"
    return start + b"(" + call * 10_000 + b"l."


_LONG = b"](" + b"N" * 10_000 + b"e"
_TEXT = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000
_STATE = b"}(" + b"".join(b"M" + struct.pack("<H", i) + b"N" for i in range(10_000)) + b"u"


@pytest.mark.parametrize(
    "data",
    [
        _call_often(b"builtins.list", _LONG),
        _call_often(b"torch.Size", _LONG),
        _call_often(b"builtins.dict", _STATE),
        _call_often(b"pathlib.Path", _TEXT),
        _call_often(b"argparse.Namespace", _STATE, b"h\x01)\x81h\x00b"),
    ],
    ids=["list", "shape", "dict", "path", "namespace"],
)
def test_calls_do_not_copy_beyond_measure(data):
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="copies its values more often"):
            read_foreign_pickle(data, "x")
        assert tracemalloc.get_traced_memory()[1] < 2**28  # unbounded, it is a gigabyte or more
    finally:
        tracemalloc.stop()


def test_objects_in_the_place_of_the_bytes_of_an_array_are_damage():
    data = pickle.dumps(np.array([1, "a"], object), 2)
    for code in (b"U1", b"f4", b"i8"):
        with pytest.raises(FormatError, match="is damaged"):
            read_foreign_pickle(data.replace(b"O8", code), "x")


def test_an_array_has_no_more_dimensions_than_a_tensor():
    data = pickle.dumps(np.zeros((1,) * 64, np.uint8), 2)
    assert data.count(b"K\x01") > 64
    longer = data.replace(b"K\x01" * 64, b"K\x01" * 65)
    with suppress(FormatError):
        read_foreign_pickle(data, "x")  # nested as deeply as a value may be
    with pytest.raises(FormatError, match="is damaged"):
        read_foreign_pickle(longer, "x")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_damage_is_one_error(protocol):
    value = [found for found, _ in VALUES.values()]
    data = pickle.dumps(value, protocol)
    for position in range(0, len(data), 3):
        for changed in (data[:position], data[:position] + b"\x93" + data[position + 1 :]):
            with suppress(FormatError):  # and nothing else
                read_foreign_pickle(changed, "x")


class Plain:
    """An object of another program, with the state that pickle gives it."""

    def __init__(self):
        self.words, self.number = {b"a": 0}, 7


class Trap:
    def __reduce__(self):
        return print, ("sprung",)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_object_of_a_class_that_is_asked_for_is_read_as_its_state(protocol, capsys):
    data = pickle.dumps(Plain(), protocol)
    name = f"{Plain.__module__}.Plain"
    contents, _ = read_foreign_pickle(data, "x", states_of=(name,))
    assert contents == {"words": {b"a": 0}, "number": 7}
    with pytest.raises(FormatError, match=f"holds an object of {name}"):
        read_foreign_pickle(data, "x", states_of=("tiktoken.core.Encoding",))
    made = Plain()
    made.words = Trap()
    with pytest.raises(FormatError, match=r"names (builtins|__builtin__)\.print"):
        read_foreign_pickle(pickle.dumps(made, protocol), "x", states_of=(name,))
    assert not capsys.readouterr().out
