import os

import numpy as np
import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.tensors.gguf import load as gguf_file
from tests.support.gguf_bytes import make_file

gguf = pytest.importorskip("gguf")

PLAIN = ("F32", "F16", "BF16", "F64", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")
K_TYPES = {"Q2_K": 84, "Q3_K": 110, "Q4_K": 144, "Q5_K": 176, "Q6_K": 210}
KINDS = (*PLAIN, *K_TYPES)


@pytest.fixture
def file(tmp_path):
    """A file with a matrix of each type, which take more than one chunk."""
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    values = np.random.default_rng(0).normal(size=(24, 32 * 400)).astype(np.float32)
    for kind in PLAIN:
        own = gguf.GGMLQuantizationType[kind]
        data = values.astype(np.float64) if kind == "F64" else gguf.quantize(values, own)
        writer.add_tensor(kind, data, raw_dtype=own)
    for kind, size in K_TYPES.items():  # which the package does not quantize to
        blocks = np.random.default_rng(0).integers(0, 120, (24, 50 * size), dtype=np.uint8)
        writer.add_tensor(kind, blocks, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_are_those_that_the_gguf_package_reads(kind, file):
    contents = gguf_file.load(file, file.name)
    held = next(t for t in gguf.GGUFReader(file).tensors if t.name == kind)
    found = contents.tensors[kind]
    if kind == "F64":
        wanted = held.data
    else:
        wanted = gguf.dequantize(held.data, held.tensor_type).reshape(24, -1)
    np.testing.assert_array_equal(found.to(torch.float64).numpy(), wanted)
    info = gguf_file.describe(file, file.name).tensors[kind]
    assert (str(found.dtype), tuple(found.shape)) == (f"torch.{info.dtype}", info.shape)
    assert torch.equal(contents.copies[kind], found)


def test_changing_a_tensor_leaves_the_file_alone(file):
    before = file.read_bytes()
    contents = gguf_file.load(file, file.name)
    for kind in KINDS:
        contents.tensors[kind].zero_()
    assert file.read_bytes() == before


def test_a_tensor_at_an_odd_place_is_read(tmp_path):
    path = tmp_path / "odd.gguf"
    path.write_bytes(make_file(entries=[_alignment_of_one()], alignment=1))
    for tensors in (gguf_file.load(path, "").tensors, gguf_file.load(path, "").copies):
        assert tensors["halves"].view(torch.int16).tolist() == [0x0202] * 3
        assert tensors["rows"].view(torch.int32).tolist() == [[0x03030303] * 3] * 2


def _alignment_of_one():
    from tests.support.gguf_bytes import U32, pack_entry

    return pack_entry("general.alignment", U32, 1)


def test_a_file_that_was_cut_meanwhile_is_refused(file):
    contents = gguf_file.load(file, file.name)
    stat = file.stat()
    os.truncate(file, stat.st_size - 40000)
    with pytest.raises(FormatError, match="was changed while being read"):
        contents.tensors["Q6_K"]


def test_a_file_that_was_replaced_meanwhile_is_refused(file):
    contents = gguf_file.load(file, file.name)
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    other.replace(file)
    with pytest.raises(FormatError, match="was changed while being read"):
        contents.tensors["Q8_0"]
    assert contents.tensors["F32"].shape == (24, 12800)  # it is mapped


def test_a_file_that_is_cut_between_two_chunks_is_refused(file, monkeypatch):
    contents = gguf_file.load(file, file.name)
    fill = gguf_file._fill

    def cut(stream, *arguments):
        os.truncate(file, stream.tell())
        fill(stream, *arguments)

    monkeypatch.setattr(gguf_file, "_fill", cut)
    with pytest.raises(FormatError, match="Q8_0: was truncated while being read"):
        contents.copies["Q8_0"]
