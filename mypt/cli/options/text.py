"""The type of options and arguments that must not be empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    TextType = click.ParamType[str]
else:
    TextType = click.ParamType  # which older releases of click know for no type of value


class NonEmptyText(TextType):
    """Text that is not empty; an empty path would mean the current folder."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Fail if the text is empty."""
        if not value:
            self.fail("must not be empty", param, ctx)
        return str(value)


TEXT = NonEmptyText()
