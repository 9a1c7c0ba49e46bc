import io
import mmap
from collections import OrderedDict

import pytest
import torch

from mypt.format.tensors.pt_file import load_tensors, read_header
from mypt.format.tensors.pt_writer import write_tensors

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
]


def written(value):
    stream = io.BytesIO()
    write_tensors(stream, value)
    return stream.getvalue()


@pytest.fixture
def round_trip(tmp_path):
    def go(value):
        path = tmp_path / "x.pt"
        path.write_bytes(written(value))
        assert read_header(path, "x.pt")
        return load_tensors(path, "x.pt")

    return go


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (5,), (3, 4, 5)], ids=str)
def test_tensors_of_every_dtype_and_shape_come_back_as_they_were(dtype, shape, round_trip):
    tensor = (torch.arange(60)[: max(1, torch.Size(shape).numel())] % 7).to(dtype)
    tensor = tensor[: torch.Size(shape).numel()].reshape(shape)
    loaded = round_trip({"x": tensor})["x"]
    assert loaded.dtype == dtype
    assert loaded.shape == shape
    assert torch.equal(loaded, tensor)


def test_special_float_values_keep_their_bits(round_trip):
    bits = torch.tensor(
        [0x7FC00001, 0x7F800000, 0xFF800000 - 2**32, 1, -(2**31)], dtype=torch.int32
    )
    loaded = round_trip({"x": bits.view(torch.float32)})["x"]
    assert torch.equal(loaded.view(torch.int32), bits)


def test_plain_values_come_back_as_they_were(round_trip):
    value = {
        "numbers": [0, 1, -1, 255, 256, 65535, 65536, -(2**31), 2**31, -(2**63), 2**200, 0.1],
        "text": ["", "è\n", "\U0001f600", "\ud800"],
        "rest": (None, True, False, (), [], {}, ((1,),)),
        "by_index": {0: "a", -1: "b"},
    }
    assert round_trip(value) == value


def test_an_optimizer_state_comes_back_as_it_was(round_trip):
    parameters = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(3))]
    optimizer = torch.optim.AdamW(
        [{"params": parameters[:1], "lr": 1e-3}, {"params": parameters[1:]}]
    )
    sum((p**2).sum() for p in parameters).backward()
    optimizer.step()
    state = optimizer.state_dict()
    loaded = round_trip(state)
    assert loaded["param_groups"] == state["param_groups"]
    for index, moments in state["state"].items():
        for name, tensor in moments.items():
            assert torch.equal(loaded["state"][index][name], tensor)


def test_tied_weights_are_stored_once_and_stay_shared(round_trip):
    weight = torch.randn(100, 10)
    tied = {
        "a": weight,
        "b": weight.detach(),
        "c": torch.nn.Parameter(weight),
        "flat": weight.view(-1),
    }
    loaded = round_trip(tied)
    assert len({tensor.data_ptr() for tensor in loaded.values()}) == 1
    assert len(written(tied)) < len(written({"a": weight, "b": weight.clone()}))
    loaded["a"][0, 0] = 7
    assert loaded["b"][0, 0] == 7


def test_a_view_is_written_as_its_own_values_alone(round_trip):
    whole = torch.arange(10_000.0).reshape(100, 100)
    views = {
        "rows": whole[3:5],
        "columns": whole[:, 3:5],
        "turned": whole.T,
        "wide": whole[0].expand(3, 100),
    }
    loaded = round_trip(views)
    for name, view in views.items():
        assert torch.equal(loaded[name], view)
        assert loaded[name].is_contiguous()
    assert len(written({"rows": whole[3:5]})) < 3000


def test_equal_content_has_equal_bytes_whatever_the_objects_are():
    def state(*, shared):
        name = "long enough not to be interned " * 2
        names = [name, name] if shared else [name, "".join(list(name))]
        hyper = (0.9, 0.95)
        return {
            "w": torch.arange(6.0).reshape(2, 3),
            "empty": torch.empty(0),
            "names": names,
            "groups": [hyper, hyper]
            if shared
            else [(0.9, 0.95), tuple(map(float, ("0.9", "0.95")))],
        }

    assert written(state(shared=True)) == written(state(shared=False))
    assert written(OrderedDict(state(shared=True))) == written(state(shared=True))
    empty = torch.empty(0)
    assert written([empty, empty]) == written([torch.empty(0), torch.empty(0)])


def test_other_content_has_other_bytes():
    assert written({"w": torch.zeros(2)}) != written({"w": torch.tensor([0.0, -0.0])})


def test_what_torch_saves_and_what_we_write_have_the_same_header(tmp_path):
    state = {"a": torch.randn(3, 2), "b": {"c": [torch.ones(2, dtype=torch.bfloat16), 3, None]}}
    torch.save(state, tmp_path / "theirs.pt")
    (tmp_path / "ours.pt").write_bytes(written(state))
    theirs, ours = (read_header(tmp_path / f"{who}.pt", who) for who in ("theirs", "ours"))
    assert theirs.contents == ours.contents


def test_torch_opens_our_files_without_a_map_too(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(written({"w": torch.arange(1000)}))
    assert torch.equal(torch.load(path, weights_only=True)["w"], torch.arange(1000))
    assert torch.load(path, weights_only=True, map_location="meta")["w"].shape == (1000,)


def test_storages_are_aligned_to_64_bytes(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(written({str(i): torch.ones(i + 1) for i in range(40)}))
    members = read_header(path, "x.pt").members
    assert all(m.offset % 64 == 0 for name, m in members.items() if name.startswith("data/"))


@pytest.mark.parametrize(
    "value",
    [
        {"x": object},
        {"x": {1, 2}},
        {None: 1},
        {(1, 2): 1},
        {"x": torch.zeros(2, dtype=torch.complex64)},
        {"x": torch.zeros(2, device="meta")},
        {"x": torch.zeros(2, 2).to_sparse()},
    ],
    ids=str,
)
def test_what_a_checkpoint_cannot_hold_is_a_callers_bug(value):
    with pytest.raises(TypeError, match="a checkpoint cannot hold"):
        written(value)


@pytest.mark.slow
def test_a_tensor_beyond_4_gib_is_written_and_read(tmp_path):
    path = tmp_path / "x.pt"
    with path.open("wb") as file:
        write_tensors(
            SparseSink(file), {"big": torch.zeros(2**32 + 5, dtype=torch.uint8), "w": torch.ones(3)}
        )
    assert read_header(path, "x.pt").tensors()["big"].shape == (2**32 + 5,)
    loaded = load_tensors(path, "x.pt")
    assert loaded["big"][-1] == 0
    assert torch.equal(loaded["w"], torch.ones(3))


class SparseSink:
    """Leave holes for large zeros, so that the test needs no disk."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        if len(data) > mmap.PAGESIZE * 16:
            self.file.seek(len(data), 1)
        else:
            self.file.write(data)


def test_tensors_are_converted_one_by_one_and_tied_ones_stay_tied():
    tensor = torch.arange(6.0)
    stream, plain = io.BytesIO(), io.BytesIO()
    write_tensors(stream, {"a": tensor, "b": tensor}, torch.float16)
    half = tensor.half()
    write_tensors(plain, {"a": half, "b": half})
    assert stream.getvalue() == plain.getvalue()
