"""`mypt plugins`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.command import Group
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.text import TEXT
from mypt.cli.options.values.suggested import FOLDER
from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo, echo_json
from mypt.format.version import DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.plugins.faults import Fault, PluginOrigin
    from mypt.plugins.manager import Plugins

TITLES = {
    "tokenizers": "Tokenizers",
    "parts": "Architecture parts",
    "optimizers": "Optimizers",
    "schedules": "Learning-rate schedules",
    "losses": "Training losses",
    "data sources": "Data sources",
    "guards": "Gold guards",
    "sinks": "Log sinks",
    "readers": "Legacy readers",
    "exporters": "Exporters",
    "commands": "Commands",
}


@click.group("plugins", cls=Group, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the installed plugins, what they provide, and their faults."""
    if context.invoked_subcommand is not None:
        return
    plugins = open_plugins(quiet=True)
    plugins.load_all()
    listed = _list_plugins(plugins)
    if as_json:
        echo_json(listed)
        return
    for line in _format_listing(listed):
        echo(line)
    for fault in plugins.faults:
        echo(f"warning: {fault.problem}", err=True)


@command.command("new")
@click.argument("name", type=TEXT)
@click.option("--output", type=FOLDER, help="Folder to create; by default one of that name.")
@optional_output()
def new(name: str, output: str | None) -> None:
    """Create a minimal plugin package whose tests pass, as a starting point."""
    from mypt.plugins.scaffold import write_scaffold

    folder = Path(name if output is None else output)
    for path in write_scaffold(name, folder):
        echo(path)
    echo(f"Next: pip install -e {folder} && pytest {folder}")


def _format_listing(listed: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that list what each package offers, and the state of each plugin."""
    for kind, title in TITLES.items():
        yield f"{title}:"
        names: dict[tuple[str, str], list[str]] = defaultdict(list)
        for offer in listed[kind]:
            slot, _, name = offer["name"].rpartition(" ")
            names[f"{slot} " if slot else "", _format_origin(offer)].append(name)
        for (slot, origin), offered in names.items():
            yield f"  {slot}{', '.join(offered)} ({origin})"
    yield "Plugins:"
    told = [p for p in listed["plugins"] if p["package"] != DISTRIBUTION or p["state"] != "works"]
    for plugin in told:
        about = "" if plugin["state"] == "works" else f": {plugin['state']}"
        yield f"  {plugin['name']} ({_format_origin(plugin)}){about}"
    if not told:
        yield "  none is installed; to create one: mypt plugins new NAME"


def _format_origin(found: Mapping[str, Any]) -> str:
    return f"{found['package']} {found['version']}"


def _list_plugins(plugins: Plugins) -> dict[str, Any]:
    offers = {
        offer.hook.title: [
            {
                "name": " ".join(key) if isinstance(key, tuple) else key,
                **_describe_source(offer.sources[key]),
            }
            for key in offer.factories
        ]
        for offer in plugins.registries().values()
    }
    found = [*plugins.sources.values(), *(f.source for f in plugins.faults), *plugins.off]
    return {
        **offers,
        "plugins": [
            {
                "name": source.name,
                "package": source.package,
                "version": source.version,
                "state": _find_state(source, plugins),
                "faults": [str(f.problem) for f in plugins.faults if f.source == source],
                "offers": {
                    offer.hook.title: [
                        " ".join(key) if isinstance(key, tuple) else key
                        for key in offer.factories
                        if offer.sources[key] == source
                    ]
                    for offer in plugins.registries().values()
                    if source in offer.sources.values()
                },
            }
            for source in dict.fromkeys(found)
        ],
    }


def _describe_source(source: PluginOrigin) -> dict[str, str]:
    return {"plugin": source.name, "package": source.package, "version": source.version}


def _find_state(source: PluginOrigin, plugins: Plugins) -> str:
    """Return the state of a plugin: works, slow, clash, duplicate, broken or off."""
    if source in plugins.off:
        return "off"
    faults: list[Fault] = [fault for fault in plugins.faults if fault.source == source]
    order = ("broken", "duplicate", "clash", "slow")
    return min((fault.kind for fault in faults), key=order.index, default="works")
