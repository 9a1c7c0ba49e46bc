"""Files as torch wrote them before 1.6, written by torch itself."""

import struct

import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.tensors import weights_file
from mypt.format.tensors.pt_file import load_tensors, read_header
from mypt.format.tensors.torch_forms import legacy_file


def save(value, path, **options):
    torch.save(value, path, _use_new_zipfile_serialization=False, **options)
    return path


def make_state():
    module = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.LayerNorm(3))
    state = module.state_dict()  # an OrderedDict with `_metadata`
    state["shared"] = state["0.weight"]
    state["view"] = state["0.weight"].t()
    state["part"] = state["0.weight"][1:, ::2]
    state["parameter"] = module[0].bias
    for dtype in (torch.bfloat16, torch.float64, torch.bool, torch.uint8):
        state[str(dtype)] = torch.ones(3, dtype=dtype)
    state["empty"] = torch.zeros(0, 4)
    return state


@pytest.mark.parametrize("protocol", [2, 4])
def test_every_kind_of_tensor_is_read_as_torch_reads_it(tmp_path, protocol):
    state = make_state()
    path = save({"model": state, "step": 7, "name": "x"}, tmp_path / "x", pickle_protocol=protocol)
    described = weights_file.describe_weights(path, "x")
    loaded = weights_file.load_weights(path, "x")
    assert described["step"] == loaded["step"] == 7
    assert list(described["model"]) == list(loaded["model"]) == list(state)
    for name, tensor in state.items():
        info, held = described["model"][name], loaded["model"][name]
        assert (info.shape, info.stride) == (tensor.shape, tensor.stride())
        assert held.dtype == tensor.dtype
        assert held.stride() == tensor.stride()
        assert torch.equal(held, tensor)
        assert held.data_ptr() % held.element_size() == 0  # which some operations rely on
    assert loaded["model"]["view"].data_ptr() == loaded["model"]["shared"].data_ptr()
    assert weights_file.have_equal_values(
        (path, described["model"]["shared"]), (path, described["model"]["0.weight"])
    )


def test_a_bundle_holds_no_such_file(tmp_path):
    path = save({"w": torch.ones(2)}, tmp_path / "x.pt")
    with pytest.raises(FormatError, match=r"is in the format of torch before 1\.6"):
        read_header(path, "x.pt")


def test_a_tensor_of_the_first_releases_is_read(tmp_path):
    path = save({"w": torch.arange(6.0).reshape(2, 3)}, tmp_path / "x.pt")
    data = path.read_bytes()
    call = b"_rebuild_tensor_v2\n"
    begin = data.index(b"\x89ccollections\nOrderedDict\n")
    end = data.index(b"tq", begin)
    early = data[:begin].replace(call, b"_rebuild_tensor\n") + data[end:]
    path.write_bytes(early)
    loaded = load_tensors(path, "x.pt", is_foreign=True)
    assert torch.equal(loaded["w"], torch.arange(6.0).reshape(2, 3))


def test_a_long_pickle_is_read_in_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(legacy_file, "_FIRST_BYTES", 64)
    path = save({str(n): torch.ones(1) for n in range(50)}, tmp_path / "x.pt")
    assert len(read_header(path, "x.pt", is_foreign=True).tensors()) == 50


def cut(data):
    return data[:-1]


def lengthen(data):
    return data + b"\0"


def change_numel(data):
    return data[:-16] + struct.pack("<q", 10**9) + data[-8:]


def change_version(data):
    return data.replace(b"M\xe9\x03.", b"M\xea\x03.", 1)


def turn_round(data):
    return data.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89")


def claim_more(data):
    return data.replace(b"K\x02Nt", b"J\xff\xff\xff\x7fNt")


def list_others(data):
    start = data.rindex(b"]q\x00X")
    return data[: start + 9] + b"0" + data[start + 10 :]


def list_numbers(data):
    start = data.rindex(b"]q\x00X")
    return data[: start + 3] + b"K\x07a." + data[data.index(b".", start + 8) + 1 :]


def describe_a_view(data):
    return data.replace(b"K\x02Nt", b"K\x02(K\x01K\x01K\x01tt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, "ends before the 8 bytes of its storage"),
        (lengthen, "has bytes after its last storage"),
        (change_numel, "holds 1000000000 values in its storage"),
        (change_version, "not in a form that torch ever wrote"),
        (turn_round, "written on a big-endian machine"),
        (claim_more, "ends before the 8589934588 bytes"),
        (list_others, "does not list the storages"),
        (list_numbers, "does not list the storages"),
        (describe_a_view, "refers to something other than a whole storage"),
    ],
)
def test_what_does_not_add_up_is_refused(tmp_path, change, message):
    path = save({"w": torch.ones(2)}, tmp_path / "x.pt")
    data = path.read_bytes()
    assert change(data) != data
    path.write_bytes(change(data))
    with pytest.raises(FormatError, match=message):
        weights_file.describe_weights(path, "x.pt")
    with pytest.raises(FormatError, match=message):
        weights_file.load_weights(path, "x.pt")


@pytest.mark.filterwarnings("ignore:.*source code")
def test_a_whole_module_is_refused(tmp_path):
    path = save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(FormatError, match=r"holds an object of torch\.nn\.modules\.linear\.Linear"):
        read_header(path, "x.pt", is_foreign=True)
