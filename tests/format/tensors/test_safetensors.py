import json
import struct

import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.storage.files import MappedFiles
from mypt.format.tensors import safetensors, weights_file

TENSORS = {
    "b": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a": torch.arange(3, dtype=torch.bfloat16),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
    "empty": torch.zeros(0, 4),
    "ids": torch.tensor([1, 2]),
    "flags": torch.tensor([True, False, True]),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as stream:
        safetensors.write(stream, TENSORS)
    return path


def test_what_is_written_is_read_back(file):
    found = safetensors.load(file, "")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
    infos = safetensors.read_infos(file, "")
    assert {n: i.shape for n, i in infos.items()} == {n: tuple(t.shape) for n, t in TENSORS.items()}


def test_the_reference_implementation_reads_it_and_is_read(file, tmp_path):
    reference = pytest.importorskip("safetensors.torch")
    theirs = reference.load_file(file)
    assert all(torch.equal(theirs[name], tensor) for name, tensor in TENSORS.items())
    reference.save_file(TENSORS, tmp_path / "theirs")
    ours = safetensors.load(tmp_path / "theirs", "")
    assert all(torch.equal(ours[name], tensor) for name, tensor in TENSORS.items())


def test_a_tensor_at_an_odd_place_is_read(tmp_path):
    header = {
        "x": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "y": {"dtype": "F32", "shape": [1], "data_offsets": [1, 5]},
    }
    path = tmp_path / "odd"
    path.write_bytes(pack(header) + b"\x07" + struct.pack("<f", 1.5))
    assert weights_file.load_weights(path, "")["y"].tolist() == [1.5]


def test_changing_a_tensor_leaves_the_file_alone(file):
    before = file.read_bytes()
    safetensors.load(file, "")["b"].zero_()
    assert file.read_bytes() == before


def pack(header):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


HOSTILE = {
    "long header": struct.pack("<Q", 2**62) + b"{}",
    "short": b"\x02\x00\x00\x00\x00\x00\x00\x00{",
    "no JSON": pack(b"{nonsense}"),
    "twice": pack(b'{"a":{},"a":{}}'),
    "dtype": pack({"a": entry("F8_E4M3", (8,))}) + bytes(8),
    "beyond": pack({"a": entry(shape=(4,), offsets=(0, 16))}) + bytes(8),
    "overlap": pack({"a": entry(), "b": entry(offsets=(4, 12))}) + bytes(12),
    "gap": pack({"a": entry(offsets=(4, 12))}) + bytes(12),
    "rest": pack({"a": entry()}) + bytes(9),
    "size": pack({"a": entry(offsets=(0, 4))}) + bytes(4),
    "negative": pack({"a": entry(shape=(-2,))}) + bytes(8),
    "huge": pack({"a": entry(shape=(2**62, 2**62))}) + bytes(8),
    "backwards": pack({"a": entry(offsets=(8, 0))}) + bytes(8),
    "bool shape": pack({"a": entry("U8", (True,), (0, 1))}) + bytes(1),
    "no entry": pack({"a": 3}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_damaged_or_hostile_file_is_refused(tmp_path, kind):
    path = tmp_path / "x.safetensors"
    path.write_bytes(HOSTILE[kind])
    for read in (weights_file.describe_weights, weights_file.load_weights):
        with pytest.raises(FormatError):
            read(path, "x")


def test_every_truncation_is_refused(file, tmp_path):
    data = file.read_bytes()
    path = tmp_path / "cut"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            weights_file.describe_weights(path, "cut")


def test_of_a_file_that_is_exchanged_while_it_is_read_the_first_is_read(
    file, tmp_path, monkeypatch
):
    other = tmp_path / "other"
    with other.open("wb") as stream:
        safetensors.write(stream, {"other": torch.zeros(3)})
    mapped = MappedFiles.map

    def after_an_exchange(*args):
        other.replace(file)
        return mapped(*args)

    with monkeypatch.context() as patched:
        patched.setattr(MappedFiles, "map", after_an_exchange)
        read = weights_file.load_weights(file, "x")
    assert read.keys() == TENSORS.keys()
    assert weights_file.load_weights(file, "x").keys() == {"other"}


def test_a_file_that_was_cut_while_it_was_read_is_refused(file, monkeypatch):
    mapped = MappedFiles.map

    def after_a_cut(*args):
        file.write_bytes(b"")
        return mapped(*args)

    monkeypatch.setattr(MappedFiles, "map", after_a_cut)
    with pytest.raises(FormatError, match="x: cannot be mapped to memory"):
        weights_file.load_weights(file, "x")
