import pytest
import torch

from mypt.format.tensors.transforms import add_product, have_equal_bits, join_rows, transpose
from mypt.format.tensors.weights_file import describe_weights, load_weights

OPERATIONS = {
    "join": lambda t: join_rows([t["a"], t["b"]]),
    "join one": lambda t: join_rows([t["a"]]),
    "transpose": lambda t: transpose(t["a"]),
    "add_product": lambda t: add_product(t["a"], t["c"], t["b"], 2.0),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_description_is_arranged_as_the_tensor_is(tmp_path, operation):
    tensors = {"a": torch.rand(2, 3), "b": torch.rand(4, 3), "c": torch.rand(2, 4)}
    torch.save(tensors, tmp_path / "x.pt")
    info = operation(describe_weights(tmp_path / "x.pt", "x"))
    tensor = operation(load_weights(tmp_path / "x.pt", "x")).contiguous()
    assert (info.shape, info.stride) == (tuple(tensor.shape), tensor.stride())
    assert f"torch.{info.dtype}" == str(tensor.dtype)
    assert info.is_contiguous


def test_a_transpose_is_a_view():
    matrix = torch.rand(2, 3)
    assert transpose(matrix).data_ptr() == matrix.data_ptr()


def test_equal_bits_are_those_of_nan_and_zero_too_wherever_they_lie():
    a = torch.tensor([[float("nan"), 0.0], [1.0, float("inf")]])
    assert have_equal_bits(a, a.clone())
    assert have_equal_bits(a, a.T.contiguous().T)
    assert not have_equal_bits(a, a.T)
    assert not have_equal_bits(torch.tensor(0.0), torch.tensor(-0.0))
    assert not have_equal_bits(a, a.double())
    assert not have_equal_bits(a, a.flatten())


def test_the_values_are_those_of_linear_algebra():
    a, b, c = torch.rand(2, 3), torch.rand(4, 3), torch.rand(2, 4)
    assert torch.equal(join_rows([a, b]), torch.cat([a, b]))
    assert torch.equal(transpose(a), a.T)
    torch.testing.assert_close(add_product(a, c, b, 2.0), a + 2 * c @ b)
