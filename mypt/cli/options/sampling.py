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
    """Return the option of a field; its value is None, not the default, if it is not given."""
    default = attrs.fields_dict(Sampling)[name].default
    return click.option(f"--{name}", type=kind, help=with_default(text, default))
