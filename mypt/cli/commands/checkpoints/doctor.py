"""`mypt doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.named_argument import model_argument
from mypt.cli.options.plugins import open_plugins
from mypt.cli.terminal import echo, echo_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@click.command("doctor", cls=Command)
@model_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@name_flags()
def command(model_name: str, as_json: bool) -> int:
    """Check a model and all its copies, and say what can be gone on from, exactly or not.

    Checks every file with its checksum, and changes nothing: what is damaged and how, what still
    serves for training or for inference, what interrupted processes have left, and what to do.
    Exits with 0 if the model itself is whole, whatever its copies are, and with 1 if it is not, or
    if its documents were edited.
    """
    from mypt.api.doctor import check_model
    from mypt.format.errors import one_line

    report = check_model(model_name, plugins=open_plugins())
    if as_json:
        echo_json(report)
    else:
        echo("\n".join(map(one_line, _list_lines(report))))
    return 0 if report["whole"] else 1


def _list_lines(report: Mapping[str, Any]) -> Iterator[str]:
    for checkpoint in report["checkpoints"]:
        yield from _describe(checkpoint)
    for title in ("leftovers", "log"):
        for note in report[title]:
            yield f"note: {note['file']}: {note['what']}; {note['fix']}"
    yield _advise(report)


def _describe(checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line on what a checkpoint serves for, and one for each problem and each edit."""
    kind = checkpoint["kind"]
    parts = [] if kind == "model" else [kind]
    parts += [] if checkpoint["step"] is None else [f"step {checkpoint['step']:,}"]
    parts += [checkpoint["remark"]] if checkpoint["remark"] else []
    place = checkpoint["path"] + (f" ({', '.join(parts)})" if parts else "")
    yield f"{place}: {_describe_condition(checkpoint)}; {_describe_use(checkpoint)}"
    for problem in (*checkpoint["problems"], *checkpoint["edits"]):
        where = problem["where"]
        mark = "#" if where.startswith("/") else " " if where else ""
        yield f"  {problem['file']}{mark}{where}: {problem['what']}; {problem['fix']}"


def _describe_condition(checkpoint: Mapping[str, Any]) -> str:
    if checkpoint["whole"]:
        return "whole"
    if checkpoint["edits"] and not checkpoint["problems"]:
        return "edited"
    return "damaged" if checkpoint["damaged"] else "not whole"


def _describe_use(checkpoint: Mapping[str, Any]) -> str:
    if checkpoint["train"] is not None:
        doubts = "; ".join(checkpoint["doubts"])
        more = f" ({doubts})" if doubts else ""
        return f"training goes on from it {checkpoint['train']}{more}"
    return "it serves for inference only" if checkpoint["generate"] else "it serves for nothing"


def _advise(report: Mapping[str, Any]) -> str:
    """Return the last line: what to do."""
    model, *copies = report["checkpoints"]
    name = model["path"].rpartition("/")[2]
    shards = next((copy for copy in copies if copy["kind"] == "shards" and copy["train"]), None)
    if shards is not None and (model["step"] is None or shards["step"] > model["step"]):
        return f"To go on from {shards['path']}: mypt train --model_name {name}"
    if report["whole"]:
        return "The model is whole."
    if model["edits"] and not model["problems"]:
        return "The model is whole but for what was edited: restore what was not meant."
    if report["fall_back"] is not None:
        command = f"mypt train --model_name {name} --fall_back"
        return f"To go on from {report['fall_back']}: {command} (what is damaged is kept)"
    if model["train"] is not None:
        return "No copy is better: go on from the model itself."
    able = [copy for copy in copies if copy["generate"]]
    if not model["damaged"]:
        what = "What is wrong with the model is no damage: do what is said of it above"
        trained = next((copy["path"] for copy in copies if copy["train"]), None)
        return what + ("." if trained is None else f", or go on from {trained} under its own name.")
    if able:
        return f"No copy can be trained further; for inference, use {able[0]['path']}"
    return "Nothing can be gone on from: restore the files from a backup."
