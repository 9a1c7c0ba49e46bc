import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.families.activations import (
    GATED,
    PLAIN,
    convert_activation,
    describe_activation,
)
from mypt.model.parts.mlp import ACTIVATIONS, GATES

VALUES = torch.linspace(-4, 4, 41)


@pytest.mark.parametrize("name", PLAIN)
def test_an_activation_of_two_layers_is_that_of_transformers(transformers, name):
    theirs = transformers.activations.ACT2FN[name](VALUES)
    torch.testing.assert_close(ACTIVATIONS[PLAIN[name]]()(VALUES), theirs, atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", GATED)
def test_an_activation_of_a_gate_is_that_of_transformers(transformers, name):
    theirs = transformers.activations.ACT2FN[name](VALUES)
    torch.testing.assert_close(GATES[GATED[name]](VALUES), theirs, atol=2e-6, rtol=0)


@pytest.mark.parametrize("table", [PLAIN, GATED])
def test_it_is_written_under_a_name_that_is_read_back(table):
    for ours in table.values():
        name = describe_activation(ours, table)
        assert convert_activation({"act": name}, "act", "config.json", table) == ours


def test_one_that_mypt_lacks_is_refused_by_name():
    with pytest.raises(FormatError, match="#/act: is mish; mypt has silu, "):
        convert_activation({"act": "mish"}, "act", "config.json", GATED)
