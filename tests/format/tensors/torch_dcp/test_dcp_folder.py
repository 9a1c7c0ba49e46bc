"""Folders of torch.distributed.checkpoint, saved by it in one process and in two."""

import pickle
import subprocess
import sys
import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed.checkpoint.metadata import MetadataIndex

from mypt.format.errors import FormatError
from mypt.format.tensors import weights_file
from mypt.format.tensors.torch_dcp.dcp_folder import is_dcp_folder
from tests.hostile.test_pt_files import PICKLES

SHARDED = """
import sys
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

rank, store, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
torch.manual_seed(0)
whole = {
    "rows": (torch.randn(7, 5), Shard(0)),
    "columns": (torch.randn(6, 9, 2), Shard(1)),
    "last": (torch.randn(3, 4, 5), Shard(2)),
    "one": (torch.randn(1, 4), Shard(0)),
    "both": (torch.randn(4, 3).to(torch.bfloat16), Replicate()),
}
state = {"model": {n: distribute_tensor(t, mesh, [place]) for n, (t, place) in whole.items()}}
state["optimizer"] = {"state": {"rows": {"exp_avg": state["model"]["rows"]}}, "param_groups": [{}]}
dcp.save(state | {"step": 3}, checkpoint_id=folder)
if rank == 0:
    torch.save({n: t for n, (t, _) in whole.items()}, f"{folder}/whole.pt")
dist.barrier()
dist.destroy_process_group()
"""


def save(state, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that there is one process alone
        dcp.save(state, checkpoint_id=folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    model = {"a": torch.randn(4, 3), "b": torch.randn(2).to(torch.bfloat16), "c": torch.tensor(2.0)}
    return save({"model": model, "step": 3}, tmp_path / "dcp"), model


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    base = tmp_path_factory.mktemp("sharded")
    folder = base / "dcp"
    command = [sys.executable, "-W", "ignore", "-c", SHARDED]
    both = [
        subprocess.Popen(
            [*command, str(rank), str(base / "store"), str(folder)], stderr=subprocess.PIPE
        )
        for rank in (0, 1)
    ]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    return folder


def test_tensors_of_one_process_are_read(folder):
    path, model = folder
    assert is_dcp_folder(path)
    contents = weights_file.describe_checked_weights(path, "x")
    assert contents["others"] == ["step"]
    described, loaded = contents["tensors"], weights_file.load_weights(path, "x")["tensors"]
    assert [*loaded] == [*described]
    for name, tensor in model.items():
        info = described[f"model.{name}"]
        assert (info.dtype, info.shape) == (str(tensor.dtype)[6:], tensor.shape)
        assert torch.equal(loaded[f"model.{name}"], tensor)


def test_parts_of_several_processes_are_put_together(sharded):
    whole = torch.load(sharded / "whole.pt", weights_only=True)
    assert len([*sharded.glob("*.distcp")]) == 2
    described = weights_file.describe_weights(sharded, "x")["tensors"]
    loaded = weights_file.load_checked_weights(sharded, "x")["tensors"]
    for name, tensor in whole.items():
        assert described[f"model.{name}"].shape == tensor.shape
        assert torch.equal(loaded[f"model.{name}"], tensor)
    assert torch.equal(loaded["optimizer.state.rows.exp_avg"], whole["rows"])
    first, second = described["model.rows"], described["optimizer.state.rows.exp_avg"]
    assert weights_file.have_equal_values((sharded, first), (sharded, second))
    other = described["model.one"]
    assert not weights_file.have_equal_values((sharded, first), (sharded, other))


def test_zeros_are_told_from_other_values(tmp_path):
    state = {"zeros": torch.zeros(3, 2), "ones": torch.ones(2)}
    folder = save(state, tmp_path / "dcp")
    described = weights_file.describe_weights(folder, "x")["tensors"]
    found = {name: weights_file.has_zero_bytes(folder, info) for name, info in described.items()}
    assert found == {"zeros": True, "ones": False}


def read_metadata(folder):
    return pickle.loads((folder / ".metadata").read_bytes())


def write_metadata(folder, metadata):
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


def part_of(metadata, name="model.a"):
    return next(info for index, info in metadata.storage_data.items() if index.fqn == name)


def enlarge(metadata):
    entry = metadata.state_dict_metadata["model.a"]
    entry.size = torch.Size((10**6, 10**6))


def enlarge_part(metadata):
    entry = metadata.state_dict_metadata["model.a"]
    entry.size = entry.chunks[0].sizes = torch.Size((10**6, 10**6))


def double(metadata):
    metadata.state_dict_metadata["model.a"].chunks *= 2


def drop_part(metadata):
    metadata.state_dict_metadata["model.a"].chunks = []


def move(metadata):
    metadata.state_dict_metadata["model.a"].chunks[0].offsets = torch.Size((1, 0))


def climb(metadata):
    part_of(metadata).relative_path = "../__0_0.distcp"


def share(metadata):
    one, other = part_of(metadata), part_of(metadata, "model.b")
    other.offset, other.length = one.offset, one.length


def reach_out(metadata):
    part_of(metadata).length = 10**12


def compress(metadata):
    part_of(metadata).transform_descriptors = ["zstd"]


def forget(metadata):
    del metadata.storage_data[MetadataIndex("model.a", torch.Size((0, 0)))]


def rename_file(metadata):
    part_of(metadata).relative_path = "__9_9.distcp"


def change_dtype(metadata):
    metadata.state_dict_metadata["model.a"].properties.dtype = torch.float64


def use_complex(metadata):
    metadata.state_dict_metadata["model.a"].properties.dtype = torch.complex64


def reshape(metadata):
    entry = metadata.state_dict_metadata["model.a"]
    entry.size = entry.chunks[0].sizes = torch.Size((3, 4))


def hide_a_gadget(metadata):
    metadata.planner_data = print


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (enlarge, "has parts that overlap or leave gaps"),
        (enlarge_part, "holds something else than the metadata say"),
        (double, "has parts that overlap or leave gaps"),
        (drop_part, "does not consist of 1 to 4096 parts"),
        (move, "is in no file"),
        (climb, r"is said to be in '\.\./__0_0\.distcp'"),
        (share, "overlaps with another tensor"),
        (reach_out, "is truncated|overlaps with another"),
        (compress, "through a transform"),
        (forget, "is in no file"),
        (rename_file, r"__9_9\.distcp model\.a: is missing"),
        (change_dtype, "holds something else than the metadata say"),
        (use_complex, "has the dtype complex64"),
        (reshape, "holds something else than the metadata say"),
        (hide_a_gadget, r"names (builtins|__builtin__)\.print"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(folder, change, message):
    path, _ = folder
    metadata = read_metadata(path)
    change(metadata)
    write_metadata(path, metadata)
    for read in (weights_file.describe_weights, weights_file.load_weights):
        with pytest.raises(FormatError, match=message) as caught:
            read(path, "x")
        assert str(caught.value).startswith("x/")


def test_a_changed_byte_of_the_weights_is_found(folder):
    path, model = folder
    file = path / "__0_0.distcp"
    data = file.read_bytes()
    values = model["a"].numpy().tobytes()
    file.write_bytes(data.replace(values, values[:-1] + b"\7"))
    assert weights_file.describe_weights(path, "x")
    for read in (weights_file.describe_checked_weights, weights_file.load_weights):
        with pytest.raises(FormatError, match=r"__0_0\.distcp model\.a: does not have its checks"):
            read(path, "x")


def test_metadata_cut_anywhere_are_refused(folder):
    path, _ = folder
    data = (path / ".metadata").read_bytes()
    for end in range(0, len(data), 29):
        (path / ".metadata").write_bytes(data[:end])
        assert not is_dcp_folder(path)
        with pytest.raises(FormatError):
            weights_file.describe_weights(path, "x")


@pytest.mark.parametrize("name", PICKLES)
def test_hostile_metadata_are_refused_in_one_line(tmp_path, name):
    (tmp_path / ".metadata").write_bytes(PICKLES[name])
    assert not is_dcp_folder(tmp_path)
    with pytest.raises(FormatError) as caught:
        weights_file.describe_weights(tmp_path, "x")
    said = str(caught.value)
    assert said.startswith("x/.metadata")
    assert said.isprintable()
    assert len(said) < 400


@settings(max_examples=200)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    which=st.sampled_from([".metadata", "__0_0.distcp"]),
    cut=st.integers(0, 20),
)
def test_any_change_of_a_folder_is_described_or_refused(saved_once, changes, which, cut):
    folder, whole = saved_once
    for name, data in whole.items():
        changed = bytearray(data)
        if name == which:
            for position, byte in changes:
                changed[position % len(changed)] = byte
            changed = changed[: len(changed) - cut]
        (folder / name).write_bytes(changed)
    try:
        contents = weights_file.load_weights(folder, "x")
        for name in contents["tensors"]:
            assert contents["tensors"][name].numel() < 100
    except FormatError as error:
        said = error.problems
    else:
        said = ()
    assert all(problem.file.startswith("x/") for problem in said)


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2), "step": 3}
    folder = save(state, tmp_path_factory.mktemp("once") / "dcp")
    return folder, {path.name: path.read_bytes() for path in folder.iterdir()}
