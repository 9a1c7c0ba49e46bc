"""Text for which a shell suggests what plugins provide: mypt's own, and those of others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from mypt.cli.options.values.suggested import SuggestedText

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["data_sources", "exporters", "losses", "optimizers", "schedules", "tokenizers"]


def list_provided(kind: Kind) -> Iterable[str]:
    """Return the names of what plugins provide, mypt's own first."""
    from mypt.plugins.manager import load_plugins

    names: Iterable[str] = getattr(load_plugins(), kind)
    return names


def _list_parts(slot: str) -> list[str]:
    from mypt.plugins.manager import load_plugins

    return [name for of, name in load_plugins().parts if of == slot]


def _list_plugins() -> list[str]:
    from importlib.metadata import entry_points

    from mypt.plugins.packages import GROUPS

    return sorted({entry.name for group in GROUPS for entry in entry_points(group=group)})


def provided(kind: Kind) -> SuggestedText:
    """Return the type of the names of what plugins provide."""
    return SuggestedText(partial(list_provided, kind))


def provided_part(slot: str) -> SuggestedText:
    """Return the type of the names of architecture parts for a slot, such as `mlp_type`."""
    return SuggestedText(partial(_list_parts, slot))


PLUGIN = SuggestedText(_list_plugins)
TOKENIZATION = provided("tokenizers")
