"""The option of commands that write what one process alone may write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def no_lock_option(**extra: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the option `--no_lock`.

    Args:
        **extra: Further arguments of `click.option`.
    """
    return click.option(
        "--no_lock",
        is_flag=True,
        help="Go on where the file system has no locks; nothing else may write there meanwhile.",
        **extra,
    )
