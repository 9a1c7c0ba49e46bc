"""The feed-forward parts are the formulas of the specification."""

import math

import pytest
import torch

from mypt.model.parts.mlp import ACTIVATIONS, GATES, GatedMlp, TwoLayerMlp

FORMULAS = {
    "relu": lambda x: x.clamp(min=0),
    "relu2": lambda x: x.clamp(min=0) ** 2,
    "gelu": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: (
        0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "quick_gelu": lambda x: x / (1 + torch.exp(-1.702 * x)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "tanh": lambda x: (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1),
}
GATED = {"swiglu": "silu", "geglu": "gelu", "geglu_tanh": "gelu_tanh", "reglu": "relu"}


def plain(layer):
    return layer


def test_every_activation_is_named():
    assert ACTIVATIONS.keys() == FORMULAS.keys()
    assert GATES.keys() == GATED.keys()


@pytest.mark.parametrize("mlp_type", FORMULAS)
def test_two_layers_are_the_formula_of_their_activation(tiny, mlp_type):
    mlp = TwoLayerMlp(tiny(mlp_type=mlp_type)).double().eval()
    x = 3 * torch.randn(2, 5, 24, dtype=torch.float64)
    expected = mlp.net[2](FORMULAS[mlp_type](mlp.net[0](x)))
    torch.testing.assert_close(mlp(x), expected)
    torch.testing.assert_close(mlp.one_token(plain)(x[:, 1]), expected[:, 1])


@pytest.mark.parametrize("mlp_type", FORMULAS)
def test_gradients_are_those_of_the_formula(tiny, mlp_type):
    mlp = TwoLayerMlp(tiny(mlp_type=mlp_type)).double().eval()
    x = 3 * torch.randn(2, 5, 24, dtype=torch.float64)
    gradients = []
    for activate in (mlp.net[1], FORMULAS[mlp_type]):
        leaf = x.clone().requires_grad_()
        mlp.net[2](activate(mlp.net[0](leaf))).square().sum().backward()
        gradients.append([leaf.grad, *(p.grad for p in mlp.parameters())])
        mlp.zero_grad()
    torch.testing.assert_close(*gradients)


def test_squared_relu_has_the_bits_of_torchs_operations_in_training_too():
    x = torch.randn(64, 24)
    found = []
    for activate in (ACTIVATIONS["relu2"](), lambda x: x.relu().square()):
        leaf = x.clone().requires_grad_()
        activated = activate(leaf)
        activated.backward(x.flip(0))
        found.append((activated.detach(), leaf.grad))
    assert all(map(torch.equal, *found))
    with torch.no_grad():
        assert torch.equal(ACTIVATIONS["relu2"]()(x), found[0][0])


@pytest.mark.parametrize("mlp_type", GATED)
@pytest.mark.parametrize("bias", [False, True])
def test_a_gated_part_is_the_formula_of_its_activation(tiny, mlp_type, bias):
    mlp = GatedMlp(tiny(mlp_type=mlp_type, mlp_bias=bias)).double().eval()
    x = 3 * torch.randn(2, 5, 24, dtype=torch.float64)
    expected = mlp.w_down(FORMULAS[GATED[mlp_type]](mlp.w_gate(x)) * mlp.w_up(x))
    torch.testing.assert_close(mlp(x), expected)
    torch.testing.assert_close(mlp.one_token(plain)(x[:, 1]), expected[:, 1])
