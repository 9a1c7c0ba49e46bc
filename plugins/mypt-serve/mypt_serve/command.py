"""`mypt serve`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from mypt.cli.options.command import Command
from mypt.cli.options.named_argument import model_argument
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import base_option
from mypt.cli.options.text import TEXT
from mypt.cli.terminal import echo
from mypt_serve.settings import Access, Limits, is_loopback

_LIMITS = Limits()
_COUNT, _SECONDS = click.IntRange(min=1), click.FloatRange(min=0, min_open=True)


@click.command("serve", cls=Command)
@model_argument
@base_option()
@click.option("--host", type=TEXT, default="127.0.0.1", show_default=True, help="Address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port; 0 takes one that is free.",
)
@click.option(
    "--token",
    type=TEXT,
    envvar="MYPT_SERVE_TOKEN",
    help="What clients have to send as `Authorization: Bearer TOKEN`; needed for a --host that "
    "other machines reach. Better given as the variable MYPT_SERVE_TOKEN: others on this machine "
    "may see the words of a command.",
)
@click.option("--device", type=TEXT, default="cpu", show_default=True, help="Device of the model.")
@click.option("--dtype", type=TEXT, help="Round the weights: bf16 or fp16; by default float32.")
@click.option(
    "--max_rows", type=_COUNT, default=8, show_default=True, help="Texts made at the same time."
)
@click.option(
    "--max_waiting",
    type=click.IntRange(min=0),
    default=64,
    show_default=True,
    help="Texts that may wait for that; further ones are refused with status 429.",
)
@click.option(
    "--max_new_tokens", type=_COUNT, help="Most tokens of a text; by default the block size."
)
@click.option(
    "--max_seconds",
    type=_SECONDS,
    default=_LIMITS.generation_s,
    show_default=True,
    help="Most seconds that a request may take, those in the queue included.",
)
@click.option(
    "--max_body_bytes",
    type=_COUNT,
    default=_LIMITS.body_bytes,
    show_default=True,
    help="Most bytes of a request.",
)
@click.option(
    "--chat_template",
    type=TEXT,
    help="Name of a template, or a file with one in Jinja; by default the model's own.",
)
@click.option(
    "--cors_origin",
    "origins",
    type=TEXT,
    multiple=True,
    help="Origin of a web page that may use the API, such as https://example.org; may be repeated.",
)
def command(
    model_name: str,
    base: str | None,
    host: str,
    port: int,
    token: str | None,
    device: str,
    dtype: str | None,
    max_rows: int,
    max_waiting: int,
    max_new_tokens: int | None,
    max_seconds: float,
    max_body_bytes: int,
    chat_template: str | None,
    origins: tuple[str, ...],
) -> None:
    """Serve a model: OpenAI's API below /v1, and a page to chat with it at /.

    Ends by Ctrl-C or SIGTERM, after the answers that are being made, or five seconds.
    """
    access = make_access(host, token, origins)
    limits = Limits(body_bytes=max_body_bytes, generation_s=max_seconds, new_tokens=max_new_tokens)
    from mypt_serve.server import bind

    with bind(host, port) as listener:
        from mypt_serve.app import make_app
        from mypt_serve.opened import open_model
        from mypt_serve.server import make_server

        with open_model(
            model_name,
            open_plugins(),
            device=device,
            dtype=dtype,
            max_rows=max_rows,
            max_waiting=max_waiting,
            template=read_template(chat_template),
            base=base,
        ) as served:
            server = make_server(make_app(served, access, limits), limits)
            shown = f"[{host}]" if ":" in host else host
            url = f"http://{shown}:{listener.getsockname()[1]}"
            echo(f"Serving {served.name} at {url} (the API at {url}/v1); stop it with Ctrl-C")
            server.run(sockets=[listener])


def make_access(host: str, token: str | None, origins: tuple[str, ...]) -> Access:
    """Return who may ask.

    Raises:
        UsageError: Others reach the address, and there is no token; or one cannot be sent.
    """
    if token is None and not is_loopback(host):
        message = f"--host {host} is reached by others: give a token with --token"
        raise click.UsageError(message)
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        message = "--token has characters that no header can have: use ASCII without spaces"
        raise click.UsageError(message)
    return Access(host=host, token=token, origins=origins)


def read_template(given: str | None) -> str | None:
    """Return the template in a file, or the name of one."""
    path = None if given is None else Path(given)
    return path.read_text("utf-8") if path is not None and path.is_file() else given
