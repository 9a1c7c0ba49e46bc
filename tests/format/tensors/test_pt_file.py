import gc
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.storage.files import MappedFiles
from mypt.format.tensors import pt_file
from mypt.format.tensors.info import TensorInfo
from mypt.format.tensors.pt_file import (
    find_damaged_members,
    have_equal_values,
    load_tensors,
    read_header,
)


@pytest.fixture
def saved(tmp_path):
    """Save with torch's own writer and read the header back."""

    def go(value):
        path = tmp_path / "x.pt"
        torch.save(value, path)
        return path, read_header(path, "x.pt")

    return go


def test_the_header_of_a_torch_file_gives_names_shapes_and_dtypes(saved):
    _, header = saved({"a": torch.zeros(3, 4), "b": torch.zeros((), dtype=torch.int64)})
    assert header.tensors() == {
        "a": TensorInfo("float32", (3, 4), (4, 1), "0", 0, 48),
        "b": TensorInfo("int64", (), (), "1", 0, 8),
    }


def test_a_module_s_state_dict_with_metadata_and_parameters_is_read(saved):
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    _, header = saved(module.state_dict())
    assert list(header.tensors()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    _, header = saved(dict(module.named_parameters()))
    assert header.tensors()["0.weight"].shape == (2, 3)


def test_views_are_described_with_their_offset_and_stride(saved):
    whole = torch.arange(12.0).reshape(3, 4)
    _, header = saved({"part": whole[1:, 1], "turned": whole.T})
    part, turned = header.tensors().values()
    assert (part.shape, part.stride, part.storage_offset) == ((2,), (4,), 5)
    assert part.storage_key == turned.storage_key
    assert part.span == (20, 40)
    assert not part.is_contiguous
    assert not turned.is_contiguous


def test_nested_values_keep_their_form(saved):
    value = {"list": [1, (2.5, None)], "deep": {0: {"x": True}}}
    _, header = saved(value)
    assert header.contents == value


def test_a_nested_file_is_no_flat_state_dict(saved):
    for value in ({"model": {"w": torch.zeros(1)}}, [torch.zeros(1)], {0: torch.zeros(1)}):
        _, header = saved(value)
        with pytest.raises(FormatError, match="x"):
            header.tensors()


def test_reading_headers_does_not_import_torch_or_numpy(saved):
    path, _ = saved({"a": torch.zeros(3)})
    code = f"""
import sys
from pathlib import Path
from pathlib import Path
from mypt.format.tensors.pt_file import read_header
assert read_header(Path({str(path)!r}), "x").tensors()
assert not {{"torch", "numpy", "pickle"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_loading_maps_the_file_and_leaves_it_alone(saved):
    path, _ = saved({"a": torch.zeros(3)})
    before = path.read_bytes()
    loaded = load_tensors(path, "x.pt")
    loaded["a"] += 1
    assert path.read_bytes() == before


def test_tensors_of_a_gpu_machine_are_read_on_this_one(fixtures):
    path = fixtures / "mypt" / "legacy_final_cuda_char" / "final.pt"
    weights = load_tensors(path, "final.pt")["model_state_dict"]
    assert {tensor.device.type for tensor in weights.values()} == {"cpu"}


def test_every_fixture_s_header_agrees_with_torch(fixtures):
    for path in sorted(fixtures.rglob("*.pt")):
        described = read_header(path, path.name).contents
        loaded = torch.load(path, weights_only=True, map_location="cpu")
        assert shape_of(described) == shape_of(loaded), path


def shape_of(value):
    match value:
        case torch.Tensor():
            return str(value.dtype).removeprefix("torch."), tuple(value.shape), value.stride()
        case TensorInfo():
            return value.dtype, value.shape, value.stride
        case dict():
            return {key: shape_of(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(shape_of(item) for item in value)
    return value


def test_a_file_of_old_torch_says_how_to_save_it_again(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(FormatError, match="save it again"):
        read_header(path, "x.pt")


def test_a_file_that_torch_cannot_load_is_one_clear_error(tmp_path, saved):
    path, _ = saved({"a": torch.zeros(3)})
    # a version that torch does not know, which the header does not depend on
    data = path.read_bytes().replace(b"3\n" + b"PK", b"xx" + b"PK")
    assert data != path.read_bytes()
    path.write_bytes(data)
    with pytest.raises(FormatError, match="cannot be loaded by torch"):
        load_tensors(path, "x.pt")


def test_a_file_that_moves_while_it_is_opened_is_read(saved, monkeypatch):
    path, _ = saved({"a": torch.ones(3)})
    mapped = MappedFiles.map

    def after_a_rename(*args):
        path.rename(path.with_name("moved"))
        return mapped(*args)

    monkeypatch.setattr(MappedFiles, "map", after_a_rename)
    assert load_tensors(path, "x.pt")["a"].tolist() == [1, 1, 1]


def test_a_file_that_is_cut_while_it_is_opened_is_refused(saved, monkeypatch):
    path, _ = saved({"a": torch.zeros(3)})
    mapped = MappedFiles.map

    def after_a_cut(*args):
        path.write_bytes(path.read_bytes()[:100])
        return mapped(*args)

    monkeypatch.setattr(MappedFiles, "map", after_a_cut)
    with pytest.raises(FormatError, match=r"x\.pt: cannot be mapped to memory"):
        load_tensors(path, "x.pt")


def test_a_flipped_bit_is_found_by_the_archive_s_own_checksums(saved):
    path, header = saved({"a": torch.zeros(100), "b": torch.ones(2)})
    assert list(find_damaged_members(path, "x.pt")) == []
    data = bytearray(path.read_bytes())
    data[header.members["data/0"].offset + 50] ^= 4
    path.write_bytes(data)
    assert list(find_damaged_members(path, "x.pt")) == ["data/0"]


def test_values_are_compared_without_loading(saved):
    big = torch.arange(400_000.0)
    other = big.clone()
    other[-1] = 0
    path, header = saved({"a": big, "b": big.clone(), "c": other, "d": big.double(), "e": big[::2]})
    tensors = header.tensors()
    same = {
        name: have_equal_values(path, header, tensors["a"], info) for name, info in tensors.items()
    }
    assert same == {"a": True, "b": True, "c": False, "d": False, "e": False}


def test_a_file_that_is_cut_while_its_checksums_are_computed_is_refused(saved, monkeypatch):
    path, _ = saved({"a": torch.zeros(io.DEFAULT_BUFFER_SIZE)})  # more than is read ahead
    read = pt_file.read_members

    def then_cut(stream, file):
        members = read(stream, file)
        path.write_bytes(path.read_bytes()[:500])
        return members

    monkeypatch.setattr(pt_file, "read_members", then_cut)
    with pytest.raises(FormatError, match="was truncated while being read"):
        list(find_damaged_members(path, "x.pt"))


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(2, dtype=torch.float8_e4m3fn), torch.zeros(2, dtype=torch.complex64)],
    ids=["float8", "complex"],
)
def test_a_tensor_of_another_dtype_is_no_reason_for_distrust(tmp_path, tensor):
    torch.save({"a": tensor}, tmp_path / "x.pt")
    with pytest.raises(FormatError, match=r"a tensor that mypt does not read.*; save it with its"):
        read_header(tmp_path / "x.pt", "x.pt")


def test_an_expanded_tensor_is_no_reason_for_distrust(tmp_path):
    torch.save({"a": torch.zeros(1).expand(5)}, tmp_path / "x.pt")
    with pytest.raises(FormatError, match="save it again with each tensor made contiguous"):
        read_header(tmp_path / "x.pt", "x.pt")


@pytest.mark.skipif(sys.platform != "linux", reason="the maps of a process are those of Linux")
def test_a_file_is_mapped_no_longer_than_its_tensors_are_held(tmp_path):
    path = tmp_path / "held.pt"
    torch.save({"a": [torch.ones(5)]}, path)

    def is_mapped():
        return str(path) in Path("/proc/self/maps").read_text()

    gc.disable()  # as a run does for a while: nothing may wait for it
    try:
        held = load_tensors(path, path.name)
        assert is_mapped()
        del held
        assert not is_mapped()
    finally:
        gc.enable()
