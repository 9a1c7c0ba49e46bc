"""Weights of fewer bits, as `--int8` and `--dtype` ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.values.suggested import DEVICE
from mypt.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.api.gpt import GPT

INT8 = "int8"
# What a loss is larger or smaller by.
NAMES = {INT8: "8-bit weights", "bf16": "bf16", "fp16": "fp16"}


_OPTIONS = (
    click.option("--int8", is_flag=True, help="Quantize the weights to 8 bits; CPU only."),
    click.option(
        "--dtype",
        type=click.Choice(["bf16", "fp16"]),
        help="Round the weights to 16 bits and compute in them; by default in float32.",
    ),
    click.option("--device", type=DEVICE, help="Device to use; by default the fastest available."),
)


def weights_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what the weights are rounded to, and where they are."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def choose_rounding(dtype: str | None, *, int8: bool) -> str | None:
    """Return what the flags ask to round the weights to, a key of `NAMES`; None for nothing."""
    return INT8 if int8 else dtype


def choose_device(device: str | None, rounding: str | None) -> str | None:
    """Return the device of the weights: 8-bit ones are for a CPU, unless another one is named."""
    return "cpu" if rounding == INT8 and device in (None, "auto") else device


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
