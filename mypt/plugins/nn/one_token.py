"""Compute a part for one position per row, the short way where it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mypt.plugins.parts import MakeLinear


def make_one_token(part: Callable[..., Any], linear: MakeLinear) -> Callable[..., Tensor]:
    """Return a function that computes a part for one position per row.

    This is the part's own `one_token` if it has one, else its `forward`.
    """
    own = getattr(part, "one_token", None)
    if own is not None:
        return own(linear)  # type: ignore[no-any-return]
    return lambda x, *shared: part(x[:, None], *shared)[:, 0]
