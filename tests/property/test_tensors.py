"""Whatever tensors are written are read back; whatever bytes are read are described or refused."""

import io
import re
from unittest.mock import patch

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mypt.format.errors import FormatError
from mypt.format.tensors.info import TensorInfo
from mypt.format.tensors.pickles import pickle_machine, pickle_reader
from mypt.format.tensors.pt_file import load_tensors, read_header
from mypt.format.tensors.pt_writer import write_tensors
from mypt.format.tensors.zip_reader import read_member, read_members

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool]
shapes = st.lists(st.integers(0, 4), max_size=4)
tensors = st.builds(
    lambda shape, dtype: (
        (torch.arange(256)[: torch.Size(shape).numel()] % 3).reshape(shape).to(dtype)
    ),
    shapes,
    st.sampled_from(DTYPES),
)
plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
values = st.recursive(
    plain | tensors,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(-(2**31), 2**31 - 1), inner, max_size=4)
    ),
    max_leaves=12,
)


def written(value):
    stream = io.BytesIO()
    write_tensors(stream, value)
    return stream.getvalue()


def described(value):
    """What the header of a file with this value has to say."""
    match value:
        case torch.Tensor():
            return str(value.dtype).removeprefix("torch."), tuple(value.shape)
        case TensorInfo():
            return value.dtype, value.shape
        case dict():
            return {key: described(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(map(described, value))
    return value


def same(first, second):
    match first:
        case torch.Tensor():
            return first.dtype == second.dtype and torch.equal(first, second)
        case dict():
            pairs = zip(first.items(), second.items(), strict=True)
            return all(a == b and same(x, y) for (a, x), (b, y) in pairs)
        case list() | tuple():
            return type(first) is type(second) and all(map(same, first, second))
    return type(first) is type(second) and first == second


@settings(max_examples=60)
@given(value=values)
def test_what_is_written_is_read_back_by_torch_and_by_us(value, tmp_path_factory):
    path = tmp_path_factory.mktemp("x") / "x.pt"
    path.write_bytes(written(value))
    assert described(read_header(path, "x.pt").contents) == described(value)
    assert same(value, load_tensors(path, "x.pt"))
    torch.save(value, path)
    assert described(read_header(path, "x.pt").contents) == described(value)


@settings(max_examples=60)
@given(value=values)
def test_what_torch_wrote_before_1_6_is_read_as_an_archive_is(value, tmp_path_factory):
    path = tmp_path_factory.mktemp("x") / "x.pt"
    torch.save(value, path, _use_new_zipfile_serialization=False)
    assert described(read_header(path, "x.pt", is_foreign=True).contents) == described(value)
    assert same(value, load_tensors(path, "x.pt", is_foreign=True))


def read_data_pickle(path):
    with path.open("rb") as stream:
        return read_member(stream, read_members(stream, "x.pt")["data.pkl"])


def interpreted(data):
    """What the pickle machine makes of a pickle: its description, or what it refuses it for."""
    try:
        machine = pickle_reader.Interpreter(data, "x.pt")
        return machine.run(), machine.storages
    except FormatError as error:
        return error.problems


ALIKE = {f"layer.{n}": torch.zeros(2, 300) for n in range(3)} | {"x": torch.ones(()), "y": [1, "a"]}
by_byte = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), max_size=3)


@settings(max_examples=400)
@given(value=values, changes=by_byte)
@example(value=ALIKE, changes=[])
@example(value={"a": torch.ones(3), "b": torch.ones(3, dtype=torch.int64)}, changes=[])
def test_tensors_are_read_at_once_as_they_are_operation_by_operation(
    value, changes, tmp_path_factory
):
    path = tmp_path_factory.getbasetemp() / "at_once.pt"
    path.write_bytes(written({**ALIKE, "value": value}))
    data = bytearray(read_data_pickle(path))
    for position, byte in changes:
        data[position % len(data)] = byte
    at_once = interpreted(bytes(data))
    with patch.object(pickle_reader, "_TENSOR", re.compile(b"(?!)")):
        assert interpreted(bytes(data)) == at_once


def test_operations_of_tensors_that_are_read_at_once_count(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(written(ALIKE))
    data = read_data_pickle(path)
    for most in range(1, 200):
        with patch.object(pickle_machine.PickleMachine, "max_operations", most):
            at_once = interpreted(data)
            with patch.object(pickle_reader, "_TENSOR", re.compile(b"(?!)")):
                assert interpreted(data) == at_once, most
    assert isinstance(at_once[0], dict)  # at last


WHOLE = written({"a": torch.arange(6.0).reshape(2, 3), "b": {"c": [1, (torch.ones(2), "x")]}})
changes = st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4)


def written_before(value):
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


OLD = written_before({"a": torch.arange(6.0).reshape(2, 3), "b": {"c": [1, (torch.ones(2), "x")]}})


@settings(max_examples=400)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(OLD) - 1), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 20),
    more=st.binary(max_size=30),
)
@example(changes=[], cut=0, more=b"")
def test_any_change_of_a_file_of_before_1_6_is_described_or_refused(
    changes, cut, more, tmp_path_factory
):
    data = bytearray(OLD)
    for position, byte in changes:
        data[position] = byte
    path = tmp_path_factory.getbasetemp() / "changed_old.pt"
    path.write_bytes(bytes(data[: len(data) - cut]) + more)
    try:
        described(load_tensors(path, "x.pt", is_foreign=True))
    except FormatError as error:
        said = error.problems
    else:
        said = ()
        assert len(more) == cut
    assert {problem.file for problem in said} <= {"x.pt"}


@settings(max_examples=400)
@given(changes=changes, cut=st.integers(0, 20), more=st.binary(max_size=30))
@example(changes=[], cut=0, more=b"")
def test_any_change_of_a_file_is_described_or_refused_and_never_a_crash(
    changes, cut, more, tmp_path_factory
):
    data = bytearray(WHOLE)
    for position, byte in changes:
        data[position] = byte
    path = tmp_path_factory.getbasetemp() / "changed.pt"
    path.write_bytes(bytes(data[: len(data) - cut]) + more)
    try:
        header = read_header(path, "x.pt")
    except FormatError as error:
        said = error.problems
    else:
        said = ()
        assert len(more) == cut  # such as a zero in the place of a zero
        assert set(map(type, header.members)) == {str}
    assert {problem.file for problem in said} <= {"x.pt"}
