"""Open the base of an adapter, and merge both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.engine.checkpoints.adapters.merge import merge_products
from mypt.format.bundle.base import find_base
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import POSITIONS
from mypt.format.open import open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from mypt.format.opened import Opened
    from mypt.plugins.manager import Plugins


def open_base(opened: Opened, plugins: Plugins) -> Opened:
    """Open the base of an adapter.

    Args:
        opened: The adapter.
        plugins: Where parts and readers are looked up.

    Raises:
        FormatError: It is not there, has other weights, or is an adapter itself.
    """
    adapter = opened.config.adapter
    if adapter is None:
        return opened
    path = find_base(opened.path, adapter, opened.base_path)
    base = open_checkpoint(path, plugins)
    if base.config.adapter is not None:
        what = f"names {path}, which is an adapter itself"
        raise FormatError(
            Problem(str(opened.path), "/adapter/base", what, "merge it", kind="adapter")
        )
    return base


def merge_opened(opened: Opened, plugins: Plugins) -> Opened:
    """Return a checkpoint whose adapter, if it has one, is merged with its base when it is read.

    Args:
        opened: The checkpoint.
        plugins: Where parts and readers are looked up.

    Raises:
        FormatError: The base is not there, or has other weights.
    """
    config = opened.config
    if config.adapter is None:
        return opened
    base = open_base(opened, plugins)

    def read_weights(convert: Callable[[Tensor], Tensor] | None = None) -> Mapping[str, Tensor]:
        merged = merge_products(base.weights(), opened.weights(), config, plugins.layouts)
        if POSITIONS in merged:
            merged[POSITIONS] = merged[POSITIONS][: config.block_size]
        return merged if convert is None else {n: convert(t) for n, t in merged.items()}

    return evolve(opened, config=config.without_adapter(), weights=read_weights, shapes=base.shapes)
