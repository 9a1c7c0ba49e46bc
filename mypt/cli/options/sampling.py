"""Options made from the fields of `Sampling`, with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click

from mypt.cli.options.fields import with_default
from mypt.model.decoding.sampling_options import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable


def sampling_option(name: str, kind: type, text: str) -> Callable[..., Any]:
    """Give the flag of a field; where it is not given, the field's default is left to apply."""
    default = attrs.fields_dict(Sampling)[name].default
    return click.option(f"--{name}", type=kind, help=with_default(text, default))
