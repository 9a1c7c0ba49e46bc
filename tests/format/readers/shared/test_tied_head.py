import math

import pytest
import torch

from mypt.format.readers.shared.tied_head import is_tied
from mypt.format.tensors import safetensors
from mypt.format.tensors.weights_file import describe_weights, load_weights

MATRIX = torch.arange(12.0).reshape(4, 3)
WITH_NAN = torch.tensor([[math.nan, -0.0]])
CASES = {
    "equal": (MATRIX, MATRIX.clone(), True),
    "nan": (WITH_NAN, WITH_NAN.clone(), True),
    "another": (MATRIX, MATRIX + torch.eye(4, 3), False),
    "the sign of zero": (torch.zeros(1, 2), torch.tensor([[0.0, -0.0]]), False),
    "dtype": (MATRIX, MATRIX.bfloat16(), False),
    "shape": (MATRIX, MATRIX[:3].clone(), False),
}


def write_pt(path, tensors):
    torch.save(tensors, path)


def write_safetensors(path, tensors):
    with path.open("wb") as stream:
        safetensors.write(stream, tensors)


@pytest.mark.parametrize("load", [describe_weights, load_weights])
@pytest.mark.parametrize("write", [write_pt, write_safetensors])
@pytest.mark.parametrize("name", CASES)
def test_the_values_decide(tmp_path, load, write, name):
    embedding, head, tied = CASES[name]
    path = tmp_path / "weights"
    write(path, {"first": MATRIX, "embedding": embedding, "head": head})
    tensors = load(path, "weights")
    assert is_tied(tensors, "embedding", "head", dict.fromkeys(tensors, path)) == tied


@pytest.mark.parametrize("load", [describe_weights, load_weights])
def test_they_may_lie_in_two_files(tmp_path, load):
    tensors, places = {}, {}
    for name, value in {"embedding": MATRIX, "head": MATRIX, "other": MATRIX + 1}.items():
        places[name] = tmp_path / f"{name}.safetensors"
        write_safetensors(places[name], {"before": torch.ones(5), name: value})
        tensors[name] = load(places[name], name)[name]
    assert is_tied(tensors, "embedding", "head", places)
    assert not is_tied(tensors, "embedding", "other", places)


@pytest.mark.parametrize("load", [describe_weights, load_weights])
def test_one_storage_is_one_matrix(tmp_path, load):
    path = tmp_path / "weights"
    torch.save({"embedding": MATRIX, "head": MATRIX, "rows": MATRIX[1:]}, path)
    tensors = load(path, "weights")
    assert is_tied(tensors, "embedding", "head", dict.fromkeys(tensors, path))
    assert not is_tied(tensors, "embedding", "rows", dict.fromkeys(tensors, path))


def test_a_head_that_is_not_stored_is_the_embedding():
    assert is_tied({"embedding": MATRIX}, "embedding", "head", {})
    assert is_tied({"head": MATRIX}, "embedding", "head", {})


@pytest.mark.parametrize("load", [describe_weights, load_weights])
def test_a_view_counts_as_the_same_matrix_only_if_it_is_the_same_view(tmp_path, load):
    path, square = tmp_path / "weights", torch.eye(3)
    torch.save({"embedding": square, "view": square.t(), "again": square.t()}, path)
    tensors = load(path, "weights")
    places = dict.fromkeys(tensors, path)
    assert is_tied(tensors, "view", "again", places)
    assert not is_tied(tensors, "embedding", "view", places)
