"""Check how a factory brings the settings of its earlier versions up to date."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from mypt.format.rules.plugin_settings import SettingsOrigin
from mypt.testing.expectations import during, expect, through_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins.contracts.factory import VersionedFactory


@during("update")
def check_update(
    factory: VersionedFactory,
    saved: Mapping[str, Any],
    wanted: Mapping[str, Any],
    *,
    name: str = "earlier",
    package: str = "earlier",
    version: str | None = "0",
) -> None:
    """Check that settings of an earlier version become those of today, and these stay as they are.

    Args:
        factory: As the plugin offers it.
        saved: Settings as an earlier version wrote them.
        wanted: The same as they are written today.
        name: The name that it had then.
        package: The package that offered it then.
        version: Version of that package; None for settings that do not tell.

    Raises:
        ContractError: Something else comes out, `update` changes what it is given, or settings of
            today; or the factory's own schema rejects what comes out.
    """
    expect(factory.update is not None, "it has no `update`")
    made = _update(factory, saved, SettingsOrigin(name, package, version))
    expect(made == dict(wanted), f"settings {dict(saved)} become {made}, not {dict(wanted)}")
    check_current(factory, made)


def check_current(factory: VersionedFactory, settings: Mapping[str, Any]) -> None:
    """Check that `update`, where there is one, leaves the settings of today as they are.

    Args:
        factory: As the plugin offers it.
        settings: Such settings.

    Raises:
        ContractError: It does not.
    """
    from jsonschema import Draft202012Validator

    if factory.update is None:
        return
    own, options = dict(settings), getattr(factory, "options", {})
    for error in Draft202012Validator(options).iter_errors(own):
        expect(False, f"its own schema rejects the settings {own}: {error.message}")
    for version in (None, "0", "1"):
        made = _update(factory, own, SettingsOrigin("earlier", "earlier", version))
        expect(
            made == own,
            f"settings of today, {own}, become {made}: `update` is asked of them too",
        )


def _update(
    factory: VersionedFactory, settings: Mapping[str, Any], origin: SettingsOrigin
) -> dict[str, Any]:
    given = copy.deepcopy(dict(settings))
    made = [factory.update(given, origin) for _ in range(2)] if factory.update else []
    expect(given == dict(settings), "`update` changes the settings that it is given")
    expect(made[0] == made[1], "`update` returns something else the second time")
    return through_json(made[0], "what `update` returns")
