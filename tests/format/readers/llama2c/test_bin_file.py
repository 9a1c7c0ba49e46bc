import struct

import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.readers.llama2c import bin_file
from mypt.format.readers.llama2c.bin_file import describe, is_bin, load
from mypt.format.readers.llama2c.reader import READER
from mypt.format.validate import validate
from mypt.testing import check_reader
from tests.support.llama2c_models import (
    BARE,
    IDS,
    compute_logits,
    dequantize_all,
    make_tensors,
    open_logits,
    write_bin,
)

KINDS = [(0, 0), (1, 0), (2, 16)]
VARIANTS = [{}, {"n_kv_heads": None}, {"n_kv_heads": 1}, {"n_layers": 1, "max_seq_len": 21}]


@pytest.mark.parametrize(("version", "group"), KINDS)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_the_logits_are_those_of_llama2c(tmp_path, plugins, version, group, shared, changes):
    tensors = make_tensors(shared, **changes)
    path = write_bin(tmp_path / "x.bin", tensors, version, group, shared, **changes)
    if group:  # exactly those of the values that are left
        tensors = dequantize_all(tensors, group)
    found = open_logits(path, plugins)
    wanted = compute_logits(tensors, IDS[0], **changes)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert mypt.load(path, plugins=plugins, options=BARE).config.tie_weights == shared


def test_8_bit_values_are_as_close_as_their_scales(tmp_path, plugins):
    tensors = make_tensors(False)
    held = load(write_bin(tmp_path / "x.bin", tensors, 2, 16, False), "x.bin").tensors
    left = dequantize_all(tensors, 16)
    for name, tensor in held.items():
        assert torch.equal(tensor, left[name])
        bound = tensors[name].abs().max() / 127 / 2 * 1.001 if tensor.dim() == 2 else 0
        assert (tensor - tensors[name]).abs().max() <= bound


@pytest.mark.parametrize(("version", "group"), KINDS)
def test_what_is_described_is_what_is_loaded(tmp_path, version, group):
    path = write_bin(tmp_path / "x.bin", make_tensors(), version, group)
    described, loaded = describe(path, "x"), load(path, "x")
    assert described.header == loaded.header
    assert {n: tuple(t.shape) for n, t in loaded.tensors.items()} == {
        name: info.shape for name, info in described.tensors.items()
    }
    assert described.header.count_bytes() == path.stat().st_size
    assert path.read_bytes().startswith(described.header.pack())


def test_float_values_are_mapped_and_changing_them_does_not_change_the_file(tmp_path):
    path = write_bin(tmp_path / "x.bin", make_tensors(), 1)
    before = path.read_bytes()
    load(path, "x").tensors["norm.weight"].zero_()
    assert path.read_bytes() == before


def write_changed(path, version, place, value, form="<i"):
    write_bin(path, make_tensors(), version, 16 if version == 2 else 0)
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, place, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("version", "place", "value", "said"),
    [
        (1, 4, 3, "version: is 3; mypt reads 0, 1 and 2"),
        (1, 4, 0, "version: is 0"),
        (1, 8, -32, "dim: is -32, not a positive number"),
        (1, 8, 64, "has .* bytes, but a model of the sizes in its header takes"),
        (1, 12, 0, "hidden_dim: is 0"),
        (1, 16, 2**31 - 1, "has .* bytes, but a model"),
        (1, 20, 3, "n_heads: is 3, but 32 values are no heads of an even width"),
        (1, 20, 32, "n_heads: is 32, but"),
        (1, 24, 3, "n_kv_heads: is 3, which does not divide the 4 heads"),
        (1, 28, -61, "vocab_size: is -61"),
        (1, 28, 2**31 - 1, "has .* bytes, but a model"),
        (1, 32, 0, "seq_len: is 0"),
        (1, 36, 2, "shared_classifier: is 2"),
        (1, 36, 0, "has .* bytes, but a model"),
        (1, 40, 5, "has bytes from 37 on in its header that are not known"),
        (2, 37, -16, "group_size: is -16, not an even number that divides dim"),
        (2, 37, 0, "group_size: is 0"),
        (2, 37, 15, "group_size: is 15"),
        (2, 37, 3, "group_size: is 3"),
        (2, 37, 8, "has .* bytes, but a model"),
        (2, 200, 1, "has bytes from 41 on in its header"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, plugins, version, place, value, said):
    path = write_changed(tmp_path / "x.bin", version, place, value)
    assert is_bin(path)  # by its mark
    with pytest.raises(FormatError, match=said):
        mypt.load(path, plugins=plugins, options=BARE)
    found = validate(path, plugins.layouts, tuple(plugins.readers.values()), options=BARE)
    assert [p for p in found if p.severity == "error"]


@pytest.mark.parametrize("place", range(0, 28, 4))
def test_version_0_is_recognised_by_sizes_that_make_up_the_file(tmp_path, place):
    path = write_bin(tmp_path / "x.bin", make_tensors(), 0)
    assert is_bin(path)
    value = struct.unpack_from("<i", path.read_bytes(), place)[0]
    for other in (-value, 0, value + 1, 2**31 - 1, -(2**31)):
        assert not is_bin(write_changed(tmp_path / "y.bin", 0, place, other))


@pytest.mark.parametrize(("version", "group"), KINDS)
def test_a_file_that_was_cut_is_refused(tmp_path, plugins, version, group):
    data = write_bin(tmp_path / "x.bin", make_tensors(), version, group).read_bytes()
    path = tmp_path / "cut.bin"
    for length in (0, 3, 4, 8, 20, 28, 40, 255, 256, 257, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            mypt.load(path, plugins=plugins, options=BARE)
    path.write_bytes(data + b"\0")
    with pytest.raises(FormatError):
        mypt.load(path, plugins=plugins, options=BARE)


def test_a_scale_that_is_no_number_is_refused(tmp_path, plugins):
    path = write_bin(tmp_path / "x.bin", make_tensors(), 2, 16)
    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, len(data) - 4, float("nan"))
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"feed_forward.w3.weight: has a scale that is not"):
        mypt.load(path, plugins=plugins, options=BARE)


def test_a_header_is_compared_with_the_file_before_anything_is_listed(tmp_path, monkeypatch):
    path = write_changed(tmp_path / "x.bin", 1, 16, 2**31 - 1)
    monkeypatch.setattr(bin_file.Header, "list_tensors", None)
    with pytest.raises(FormatError, match="takes"):
        describe(path, "x")


@pytest.mark.parametrize(("version", "group"), KINDS)
def test_nothing_is_wrong_with_the_reader(tmp_path, version, group):
    path = write_bin(tmp_path / "model.bin", make_tensors(), version, group)
    check_reader(READER, path, BARE)
