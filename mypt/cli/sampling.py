"""Options made from the fields of `Sampling`, with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import attrs
import click

from mypt.cli.fields import with_default
from mypt.model.choosing import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable


def sampling_option(name: str, text: str) -> Callable[..., Any]:
    """Give the flag of a field; where it is not given, the field's default is left to apply."""
    hint = get_type_hints(Sampling)[name]
    kind = next(iter(get_args(hint)), hint)
    default = attrs.fields_dict(Sampling)[name].default
    return click.option(f"--{name}", type=kind, help=with_default(text, default))
