"""Write down what users of the library, the contracts and the commands rely on: it only grows.

What is written down stays until the next major version of mypt: names, parameters in their order,
which of them may be left out, commands and flags. What is new is added by running this again when a
minor version is about to be released.
"""

import importlib
import inspect
import json
from pathlib import Path

import click

FILE = Path(__file__).parent / "frozen_names.json"
MODULES = ("mypt", "mypt.plugins", "mypt.testing")
# What mypt returns and nobody else makes: its attributes stay, and it may be made otherwise.
RETURNED = (
    *("Answer", "Chat", "Continuation", "ContinuationScore", "EncodedChat", "EvaluationEvent"),
    *("Plugins", "Score", "StepEvent", "TextStream", "TrainingState"),
)
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def describe_call(function):
    """Return the parameters of a function by name: whether by position, and whether needed."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self" or parameter.kind in VARIABLE:
            continue
        place = "positional" if parameter.kind in POSITIONAL else "keyword"
        is_needed = parameter.default is inspect.Parameter.empty
        found[name] = f"{place}, {'needed' if is_needed else 'optional'}"
    return found


def describe(value):
    """Return what can be relied on of a name: how it is called, and what a class has."""
    if not inspect.isclass(value):
        return describe_call(value) if inspect.isfunction(value) else {}
    members = {}
    for name in dir(value):
        # What it has of torch and of Python is theirs to keep.
        owner = next((cls for cls in value.__mro__ if name in vars(cls)), None)
        if name.startswith("_") or owner is None or not owner.__module__.startswith("mypt"):
            continue
        member = inspect.getattr_static(value, name)
        member = getattr(member, "__func__", member)
        members[f".{name}"] = describe_call(member) if inspect.isfunction(member) else {}
    if value.__name__ in RETURNED:
        return members
    try:
        return {**describe_call(value), **members}
    except (TypeError, ValueError):  # it cannot be called
        return members


def describe_command(command, path):
    """Yield the parameters of a command and of those below it, by its words."""
    context = click.Context(command)
    found = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for name in (*parameter.opts, *parameter.secondary_opts):
                found[name] = "flag" if parameter.is_flag else "value"
        else:
            found[parameter.name] = "argument"
    yield path, found
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from describe_command(below, f"{path} {name}")


def read_names():
    """Return all of it as it is now."""
    from mypt.cli.main import mypt_group

    found = {}
    for name in MODULES:
        module = importlib.import_module(name)
        found[name] = {each: describe(getattr(module, each)) for each in sorted(module.__all__)}
    found["commands"] = dict(describe_command(mypt_group, "mypt"))
    return found


def find_losses(frozen, now, place=""):
    """Yield whatever of the first is not in the second any more, or is asked for anew there."""
    for name, before in frozen.items():
        where = f"{place} {name}".strip()
        if name not in now:
            yield f"{where} is gone"
        elif isinstance(before, dict):
            yield from find_losses(before, now[name], where)
        elif before != now[name] and now[name] != before.replace("needed", "optional"):
            yield f"{where} was {before} and is {now[name]}"
    new = {name: now[name] for name in now.keys() - frozen.keys()}
    yield from (f"{place} {n} is new and needed" for n, how in new.items() if "needed" in how)
    first, second = (
        [name for name, how in names.items() if str(how).startswith("positional")]
        for names in (frozen, now)
    )
    if first != second[: len(first)]:
        yield f"{place}: its arguments come in another order"


def main():
    """Write down all of it, what has gone or changed excepted: that fails."""
    now = read_names()
    frozen = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    lost = list(find_losses(frozen, now))
    if lost:
        raise SystemExit("\n".join(lost))
    FILE.write_text(json.dumps(now, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
