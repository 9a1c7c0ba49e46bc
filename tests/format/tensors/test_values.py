"""Torch tensors, numpy arrays and descriptions are one to whoever reads a checkpoint."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from mypt.format.tensors.info import DeferredTensor, TensorInfo
from mypt.format.tensors.values import (
    FetchedValues,
    convert_nested,
    describe,
    describe_all,
    to_plain,
    to_tensors,
)

MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)
FORMS = {
    "numpy": MATRIX,
    "torch": torch.from_numpy(MATRIX.copy()),
    "a parameter": torch.nn.Parameter(torch.from_numpy(MATRIX.copy())),
    "transposed": np.ascontiguousarray(MATRIX.T).T,
    "reversed": np.ascontiguousarray(MATRIX[::-1])[::-1],
    "big-endian": MATRIX.astype(">f4"),
    "a view of torch": torch.from_numpy(np.repeat(MATRIX, 2, axis=1))[:, ::2],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_one_description_and_the_same_values(form):
    value = FORMS[form]
    assert describe(value, "key") == TensorInfo("float32", (2, 3), (3, 1), "key", 0, 24)
    tensor = to_tensors({"a": value})["a"]
    assert type(tensor) is torch.Tensor
    assert np.array_equal(tensor.numpy(), MATRIX)


def test_an_array_that_may_not_be_written_is_copied(tmp_path):
    np.save(tmp_path / "a.npy", MATRIX)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    to_tensors({"a": mapped})["a"].add_(1)
    assert np.array_equal(np.load(tmp_path / "a.npy"), MATRIX)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.bool])
def test_a_dtype_is_that_of_its_file(dtype):
    value = torch.ones(3, dtype=dtype)
    name = str(dtype).removeprefix("torch.")
    assert describe(value).dtype == describe(value.numpy()).dtype == name
    assert to_tensors({"a": value.numpy()})["a"].dtype == dtype


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array(["a"]), "is of str"),
        (np.array([object()]), "is of object"),
        (np.ones(2, complex), "is of complex128"),
        (torch.ones(2).to(torch.float8_e4m3fn), "is of float8_e4m3fn"),
        (torch.ones(2).to_sparse(), "is of layout torch.sparse_coo, not a dense tensor"),
        (torch.ones(2, device="meta"), "is without values"),
        ([1.0], "is a list, not a torch tensor or a numpy array"),
        (None, "is a NoneType"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused(value, said):
    with pytest.raises(TypeError, match=said):
        describe(value)


def test_the_same_tensor_twice_is_one_for_a_tied_head_and_two_for_all_others():
    one = torch.ones(2, 2)
    infos = describe_all({"a": one, "b": one, "c": one.clone()})
    assert infos["a"].storage_key == infos["b"].storage_key != infos["c"].storage_key
    tensors = to_tensors({"a": one, "b": one, "c": one}, frozenset({"a", "b"}))
    places = [tensor.data_ptr() for tensor in tensors.values()]
    assert places[0] == places[1] != places[2]


def test_values_are_not_made_of_a_description():
    with pytest.raises(TypeError, match="described, where its values were wanted"):
        to_tensors({"a": describe(MATRIX)})


def test_nested_values_are_converted_where_they_are_tensors():
    state = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"betas": (0.9, 0.95)}]}
    found = convert_nested(state, describe)
    assert found["state"][0]["step"].shape == ()
    assert found["param_groups"] == [{"betas": (0.9, 0.95)}]


def test_numbers_of_numpy_become_numbers_of_json():
    plain = to_plain({"a": np.int64(3), "b": (np.float32(0.5), [np.bool_(True)]), "c": "d"})
    assert plain == {"a": 3, "b": [0.5, [True]], "c": "d"}
    assert [type(plain["a"]), type(plain["b"][0]), type(plain["b"][1][0])] == [int, float, bool]


def test_an_array_is_described_without_torch():
    program = (
        "import sys, numpy; from mypt.format.tensors.values import describe\n"
        "describe(numpy.zeros(2)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_whether_there_is_a_value_is_known_without_fetching_it():
    fetched = []
    values = FetchedValues(
        {"ema": DeferredTensor("float32", (1,), "ema", lambda: fetched.append(1) or torch.ones(1))}
    )
    assert "ema" in values
    assert "step" not in values
    assert fetched == []
    assert values["ema"] == 1
    assert fetched == [1]
