"""Commands behind `mypt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    import click


@frozen
class CommandFactory:
    """A command that a plugin adds to `mypt`.

    Attributes:
        name: The word behind `mypt` that calls it: small letters, digits and hyphens.
        help: What it does, one line for `mypt --help`.
        load: Imports and returns it. Called when the command runs: what is heavy is imported in it,
            or better, in the command. mypt turns what the command raises into one line: a
            `MyptError` for what a user can mend.
    """

    name: str
    help: str
    load: Callable[[], click.Command]
