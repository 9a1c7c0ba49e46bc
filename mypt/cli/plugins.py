"""`mypt plugins`."""

from __future__ import annotations

import click


@click.command("plugins")
def command() -> None:
    """List what is registered, and from where."""
    from mypt.plugins.manager import load_plugins

    plugins = load_plugins()
    offers = {
        "Tokenizers": [*plugins.tokenizers],
        "Architecture parts": [f"{slot}: {name}" for slot, name in plugins.parts],
        "Gold guards": [*plugins.guards],
        "Log sinks": [*plugins.sinks],
        "Legacy readers": [*plugins.readers],
    }
    for title, names in offers.items():
        click.echo(f"{title}:")
        for name in names:
            click.echo(f"  {name}")
    click.echo("Plugins:")
    for source in plugins.sources.values():
        click.echo(f"  {source.name} ({source.package} {source.version})")
    for broken in plugins.broken:
        click.echo(f"broken: {broken.problem}", err=True)
