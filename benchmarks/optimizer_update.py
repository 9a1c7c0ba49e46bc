"""The processor time of one update of each optimizer, beside AdamW's; and torch's Muon.

The gradients are random; the weights that they update are those of the presets' shapes. Of Muon
also: queries, keys and values as one matrix, and torch's own class for the matrices alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from interleaved import Pairs, machine, spent

import mypt
from mypt.engine.optimizers.build import make_optimizer
from mypt.format.optimizers.muon import is_hidden_matrix

if TYPE_CHECKING:
    from torch.optim import Optimizer

_GATED = {"mlp_type": "swiglu", "bias": False}
SHAPES: dict[str, dict[str, Any]] = {
    "demo": {"n_layer": 4, "n_head": 4, "n_embd": 128, "vocab_size": 100, **_GATED},
    "tiny": {"n_layer": 6, "n_head": 6, "n_embd": 192, "vocab_size": 50304, **_GATED},
}
OPTIMIZERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("muon", {}),
    ("muon", {"split_qkv": False}),
    ("adafactor", {}),
    ("sgd", {}),
)
ROUNDS = 9


def main() -> None:
    """Print the cost of each shape."""
    machine()
    for name, shape in SHAPES.items():
        usual = make(shape, "adamw", {})
        for optimizer, options in OPTIMIZERS:
            said = f"{optimizer} {options or ''}".strip()
            compare(f"{name}, {said}", make(shape, optimizer, options), usual)
        compare(f"{name}, torch.optim.Muon of the matrices alone", make_torchs(shape), usual)


def new_model(shape: dict[str, Any]) -> mypt.GPT:
    """Return a model with gradients."""
    torch.manual_seed(0)
    model = mypt.GPT(mypt.GPTConfig(**shape))
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) * 0.01
    return model


def make(shape: dict[str, Any], name: str, options: dict[str, Any]) -> Optimizer:
    """Return an optimizer of mypt's."""
    training = mypt.TrainingConfig(optimizer=name, optimizer_options=options)
    return make_optimizer(new_model(shape), training)


def make_torchs(shape: dict[str, Any]) -> Optimizer:
    """Return torch's Muon, which orthogonalizes in bfloat16."""
    named = new_model(shape).named_parameters()
    return torch.optim.Muon([p for name, p in named if is_hidden_matrix(name, tuple(p.shape))])


def compare(said: str, ours: Optimizer, usual: Optimizer) -> None:
    """Measure both in turn after a warm-up of each, and print medians and the ratio's spread."""
    ours.step()
    usual.step()
    pairs = Pairs([(spent(ours.step).cpu, spent(usual.step).cpu) for _ in range(ROUNDS)])
    mine, other = (1e3 * median for median in pairs.medians)
    print(f"{said}: {mine:.1f} ms of processor time; adamw: {other:.1f} ms; ratio {pairs.ratio}")


if __name__ == "__main__":
    main()
