"""Build the parts of a model, and assemble blocks from them.

`mypt.plugins.parts` specifies what the module of each slot must do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.manager import Plugins
    from mypt.plugins.parts import MakeLinear


def build_part(slot: str, config: GPTConfig, plugins: Plugins) -> nn.Module:
    """Build the part that `config` chooses for a slot.

    Raises:
        PluginError: No plugin provides it.
    """
    return plugins.part(slot, getattr(config, slot)).build(config)


def build_block(config: GPTConfig, plugins: Plugins) -> nn.Module:
    """Build one block including its parts.

    Raises:
        PluginError: No plugin provides one of the parts.
    """
    block = build_part("block_type", config, plugins)
    block.sa = build_part("attention_type", config, plugins)
    block.fwd = build_part("mlp_type", config, plugins)
    block.ln1 = build_part("norm_type", config, plugins)
    block.ln2 = build_part("norm_type", config, plugins)
    return block


def make_one_token(part: Callable[..., Tensor], linear: MakeLinear) -> Callable[..., Tensor]:
    """Return a function that computes a part for one position per row.

    This is the part's own `one_token` if it has one, else its `forward`.
    """
    own = getattr(part, "one_token", None)
    if own is not None:
        return own(linear)  # type: ignore[no-any-return]
    return lambda x, *shared: part(x[:, None], *shared)[:, 0]
