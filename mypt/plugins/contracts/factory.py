"""What every factory says of itself: its options, and its past."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from mypt.format.rules.plugin_settings import SettingsOrigin

Options = Mapping[str, Any]
JsonSchema = Mapping[str, Any]


@frozen(kw_only=True)
class VersionedFactory:
    """What every factory may say of its past, so that what was saved then opens as of today.

    Attributes:
        former_names: Names that it was offered under before. One that something else is offered
            under now is that.
        former_packages: Packages that offered it before this one, by the names they are installed
            by. Where one of them is still installed and offers it too, this one is used.
        update: Returns settings as they are written today, from those that were saved, whatever
            wrote them: `update(settings, origin)`, with a `SettingsOrigin`. It is asked whenever
            settings are read, also those of today, which it returns as they are.
    """

    former_names: tuple[str, ...] = ()
    former_packages: tuple[str, ...] = ()
    update: Callable[[Options, SettingsOrigin], Options] | None = None
