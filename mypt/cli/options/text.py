"""The type of options and arguments whose text must say something."""

from __future__ import annotations

from typing import Any

import click


class NonEmptyText(click.ParamType[str]):
    """A text that is not empty: an empty path would mean the current folder."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse an empty text."""
        if not value:
            self.fail("it is empty", param, ctx)
        return str(value)


TEXT = NonEmptyText()
