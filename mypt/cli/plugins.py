"""`mypt plugins`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.plugin_options import quiet_plugins

if TYPE_CHECKING:
    from mypt.plugins.faults import Fault, Source
    from mypt.plugins.manager import Plugins

TITLES = {
    "tokenizers": "Tokenizers",
    "parts": "Architecture parts",
    "guards": "Gold guards",
    "sinks": "Log sinks",
    "readers": "Legacy readers",
}


@click.group("plugins", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List what is registered, from which package and version, and what is broken or off."""
    if context.invoked_subcommand is not None:
        return
    plugins = quiet_plugins()
    plugins.load_all()
    listed = _listed(plugins)
    if as_json:
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    for kind, title in TITLES.items():
        click.echo(f"{title}:")
        for offer in listed[kind]:
            click.echo(f"  {offer['name']} ({offer['package']} {offer['version']})")
    click.echo("Plugins:")
    for plugin in listed["plugins"]:
        about = "" if plugin["state"] == "works" else f": {plugin['state']}"
        click.echo(f"  {plugin['name']} ({plugin['package']} {plugin['version']}){about}")
    for fault in plugins.faults:
        click.echo(f"warning: {fault.problem}", err=True)


@command.command("new")
@click.argument("name")
@click.option("--output", help="Folder to write it to; by default one of that name.")
def new(name: str, output: str | None) -> None:
    """Write a minimal plugin package, whose own tests pass, to begin with."""
    from mypt.plugins.starter import write_starter

    folder = Path(name if output is None else output)
    for path in write_starter(name, folder):
        click.echo(path)
    click.echo(f"Next: pip install -e {folder} && pytest {folder}")


def _listed(plugins: Plugins) -> dict[str, Any]:
    offers = {
        offer.hook.title: [
            {"name": " ".join(key) if isinstance(key, tuple) else key, **_about(offer.sources[key])}
            for key in offer.factories
        ]
        for offer in plugins.offers().values()
    }
    found = [*plugins.sources.values(), *(f.source for f in plugins.faults), *plugins.off]
    return {
        **offers,
        "plugins": [
            {
                "name": source.name,
                "package": source.package,
                "version": source.version,
                "state": _state(source, plugins),
                "faults": [str(f.problem) for f in plugins.faults if f.source == source],
                "offers": {
                    offer.hook.title: [
                        " ".join(key) if isinstance(key, tuple) else key
                        for key in offer.factories
                        if offer.sources[key] == source
                    ]
                    for offer in plugins.offers().values()
                    if source in offer.sources.values()
                },
            }
            for source in dict.fromkeys(found)
        ],
    }


def _about(source: Source) -> dict[str, str]:
    return {"plugin": source.name, "package": source.package, "version": source.version}


def _state(source: Source, plugins: Plugins) -> str:
    """Say how a plugin is: works, slow, clash, duplicate, broken or off."""
    if source in plugins.off:
        return "off"
    faults: list[Fault] = [fault for fault in plugins.faults if fault.source == source]
    order = ("broken", "duplicate", "clash", "slow")
    return min((fault.kind for fault in faults), key=order.index, default="works")
