"""Weights are exchanged for a while, and come back bit for bit."""

from contextlib import suppress

import pytest
import torch

from mypt.engine.averaging.swap import swapped


def tensors(dtype):
    return torch.tensor([1.0, -0.0, torch.nan, 1e-40], dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_are_what_they_were_afterwards_also_where_it_fails(dtype):
    parameter, value = tensors(dtype), tensors(torch.float32) + 3
    before, other = parameter.clone(), value.clone()
    place = parameter.data_ptr()
    with suppress(KeyboardInterrupt), swapped([(parameter, value)]):
        torch.testing.assert_close(parameter, other.to(dtype), equal_nan=True)
        raise KeyboardInterrupt
    assert parameter.data_ptr() == place
    integer = torch.int32 if dtype == torch.float32 else torch.int16
    assert torch.equal(parameter.view(integer), before.view(integer))
    assert torch.equal(value.view(torch.int32), other.view(torch.int32))
