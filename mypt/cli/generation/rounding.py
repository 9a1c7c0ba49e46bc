"""Weights of fewer bits, as `--int8` and `--dtype` ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.cli.terminal import echo

if TYPE_CHECKING:
    from mypt.api.gpt import GPT

INT8 = "int8"
# What a loss is larger or smaller by.
NAMES = {INT8: "8-bit weights", "bf16": "bf16", "fp16": "fp16"}


def round_weights(model: GPT, rounding: str) -> None:
    """Round the weights of a model in place.

    Args:
        model: In float32.
        rounding: A key of `NAMES`.

    Raises:
        ConfigError: The model is on another device than a CPU, which 8-bit weights need.
    """
    if rounding == INT8:
        model.quantize()
        return
    from mypt.engine.runtime.devices import AMP_DTYPES, multiplies_in

    model.to(AMP_DTYPES[rounding])
    if not multiplies_in(rounding, next(model.parameters()).device):
        echo(
            f"note: this processor has no instructions for {rounding}: float32 may be faster",
            err=True,
        )
