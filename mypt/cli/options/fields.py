"""Options made from the fields of documents, with their names, defaults and help."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import attrs
import click

from mypt.cli.options.groups import GroupedOption
from mypt.cli.options.text import TEXT, parse_json
from mypt.cli.options.values.provided import provided, provided_part
from mypt.cli.options.values.suggested import (
    CHAT_TEMPLATE,
    DEVICE,
    FILE,
    FOLDER,
    MODEL,
    PRESET,
)
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import field_names
from mypt.format.documents.training import TrainingConfig
from mypt.format.layout import SLOTS
from mypt.format.schema.check import load_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    AnyType = click.ParamType[Any]
else:
    AnyType = click.ParamType  # which older releases of click know for no type of value

# Set by the run itself, or by a save.
NO_FLAGS = frozenset({"adapter", "requires", "start_step"})
# What a shell suggests for fields that are text.
_TYPES: dict[str, click.ParamType[str]] = {
    **dict.fromkeys(("input_file", "val_file", "log_file"), FILE),
    **dict.fromkeys(("dataset_dir", "eval_dataset_dir"), FOLDER),
    **{slot: provided_part(slot) for slot in SLOTS},
    "chat_template": CHAT_TEMPLATE,
    "config_file": PRESET,
    "data_source": provided("data_sources"),
    "device": DEVICE,
    "init_from_model": MODEL,
    "loss": provided("losses"),
    "lr_schedule": provided("schedules"),
    "optimizer": provided("optimizers"),
}


class JsonType(AnyType):
    """A mapping or list, given as JSON."""

    name = "JSON"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Parse the value; the schema is checked later."""
        try:
            return parse_json(value)
        except ValueError as error:
            self.fail(f"`{value}` is not JSON: {error}", param, ctx)


def architecture_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for every field of `config.json`."""
    properties = load_schema("config")["properties"]
    return _add_options(function, GPTConfig, properties)


def training_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for every hyperparameter."""
    state = load_schema("training_state")
    return _add_options(function, TrainingConfig, state["$defs"]["training_config"]["properties"])


def flag_names(cls: type[attrs.AttrsInstance]) -> list[str]:
    """Return the names of the fields of a document that are flags."""
    return [name for name in field_names(cls) if name not in NO_FLAGS]


def _add_options(
    function: Callable[..., Any], cls: type[attrs.AttrsInstance], properties: dict[str, Any]
) -> Callable[..., Any]:
    hints = typing.get_type_hints(cls)
    defaults = {a.name: a.default for a in attrs.fields(cls)}
    for name in reversed(flag_names(cls)):
        described = {
            "help": with_default(properties[name]["description"], defaults[name]),
            "group": properties[name]["x-group"],
        }
        function = _make_option(name, hints[name], described)(function)
    return function


def _make_option(name: str, hint: Any, described: Mapping[str, str]) -> Callable[..., Any]:
    option = partial(click.option, cls=GroupedOption, **described)
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    if typing.get_origin(hint) in (Mapping, tuple):
        return option(f"--{name}", type=JsonType())
    if typing.get_origin(hint) is not Literal and len(kinds) > 1:
        return option(
            f"--{name}", type=_TYPES.get(name, TEXT), multiple=True, callback=_unwrap_single
        )
    kind = hint if typing.get_origin(hint) is Literal else next(iter(kinds), hint)
    if typing.get_origin(kind) is Literal:
        return option(f"--{name}", type=click.Choice(typing.get_args(kind)))
    if attrs.has(kind):
        return option(f"--{name}", type=JsonType())
    if kind is bool:
        return option(f"--{name}/--no_{name}", default=None)
    return option(f"--{name}", type=_TYPES.get(name, TEXT) if kind is str else kind)


def _unwrap_single(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> str | list[str] | None:
    if len(values) > 1:
        return list(values)
    return values[0] if values else None


def with_default(description: str, default: object) -> str:
    """Return a help text with the default of the field, if that is a word or a number."""
    if not isinstance(default, str | int | float):
        return description
    shown = str(default).lower() if isinstance(default, bool) else default
    return f"{description}  [default: {shown}]"
