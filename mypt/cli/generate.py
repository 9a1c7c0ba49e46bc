"""`mypt generate`."""

from __future__ import annotations

from typing import Any

import click

from mypt.cli.reader_options import parse_options, reader_options


@click.command("generate")
@click.option("--model_name", required=True, help="Name of the model, or a path.")
@click.option("--legacy_checkpoint", help="File of an earlier program in the model's folder.")
@reader_options
@click.option("--prompt", default="", help="Text to continue; empty begins a new text.")
@click.option("--max_new_tokens", default=200, show_default=True, help="Tokens to add.")
@click.option("--temperature", type=float, help="0 always takes the likeliest token.")
@click.option("--top_k", type=int, help="Choose among the k likeliest tokens.")
@click.option("--top_p", type=float, help="Choose among the likeliest that make up p together.")
@click.option("--repetition_penalty", type=float, help="Above 1: discourage what is there.")
@click.option("--seed", type=int, help="Same seed, same text.")
@click.option("--device", help="Device to compute on; by default the fastest there is.")
def command(
    model_name: str,
    legacy_checkpoint: str | None,
    prompt: str,
    max_new_tokens: int,
    device: str | None,
    options: tuple[str, ...],
    **chosen: Any,
) -> None:
    """Continue a prompt with a trained model, printing as it goes."""
    from mypt.engine.devices import choose_device
    from mypt.engine.loading import load
    from mypt.engine.places import find_checkpoint
    from mypt.model.generation import Sampling

    sampling = Sampling(**{k: v for k, v in chosen.items() if v is not None})
    path = find_checkpoint(model_name, legacy_checkpoint)
    model = load(path, device=choose_device(device), options=parse_options(options))
    pieces = model.stream(prompt, max_new_tokens, sampling=sampling)
    first = next(pieces, "")  # a prompt that cannot be encoded is refused before it is echoed
    click.echo(prompt + first, nl=False)
    for piece in pieces:
        click.echo(piece, nl=False)
    click.echo()
