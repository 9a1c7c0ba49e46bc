"""The training loss of the wide output layer, forward and backward, beside full logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from interleaved import compare, machine

from mypt.plugins.nn.loss import output_loss

VOCAB_SIZE = 50304
SHAPES = {"tiny": (192, 2048), "small": (384, 2048), "150M": (768, 1024)}  # n_embd, tokens


def main() -> None:
    """Compare each shape."""
    machine()
    for name, (n_embd, tokens) in SHAPES.items():
        hidden = torch.randn(tokens, n_embd, requires_grad=True)
        weight = (torch.randn(VOCAB_SIZE, n_embd) * 0.02).requires_grad_()
        bias = torch.zeros(VOCAB_SIZE, requires_grad=True)
        targets = torch.randint(VOCAB_SIZE, (tokens,))

        def chunked(
            args: tuple[torch.Tensor, ...] = (hidden, weight, bias, targets),
        ) -> None:
            output_loss(*args).backward()  # type: ignore[no-untyped-call]

        def full(
            args: tuple[torch.Tensor, ...] = (hidden, weight, bias, targets),
        ) -> None:
            hidden, weight, bias, targets = args
            loss = F.cross_entropy(F.linear(hidden, weight, bias), targets)
            loss.backward()  # type: ignore[no-untyped-call]

        compare(f"{name} (n_embd {n_embd})", chunked, full, against="full logits", rounds=7)


if __name__ == "__main__":
    main()
