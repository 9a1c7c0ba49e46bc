"""Build the parts of a model, and assemble blocks from them.

`mypt.plugins.parts` specifies what the module of each slot must do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor, nn

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.manager import Plugins
    from mypt.plugins.parts import MakeLinear


class Assembled(Protocol):
    """A model that is assembled from parts."""

    @property
    def config(self) -> GPTConfig: ...  # noqa: D102
    @property
    def plugins(self) -> Plugins: ...  # noqa: D102
    @property
    def position_embedding_table(self) -> nn.Module: ...  # noqa: D102
    @property
    def blocks(self) -> Iterable[Any]: ...  # noqa: D102
    @property
    def ln_f(self) -> nn.Module: ...  # noqa: D102


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
    for name in list_norms(config, plugins):
        setattr(block, name, build_part("norm_type", config, plugins))
    return block


def list_norms(config: GPTConfig, plugins: Plugins) -> tuple[str, ...]:
    """Return the names of the norms in a block."""
    return plugins.part("block_type", config.block_type).norms


def list_parts(model: Assembled) -> Iterator[tuple[str, nn.Module]]:
    """Yield the slot and the module of each part; a block comes after the parts within it."""
    yield "pos_encoding", model.position_embedding_table
    norms = list_norms(model.config, model.plugins)
    for block in model.blocks:
        yield "attention_type", block.sa
        yield "mlp_type", block.fwd
        for name in norms:
            yield "norm_type", getattr(block, name)
        yield "block_type", block
    if model.config.has_final_norm:
        yield "norm_type", model.ln_f


def restore_buffers(model: Assembled) -> None:
    """Give values to the buffers of parts that were built on the meta device.

    A buffer that is not saved follows from the config, so building its part again computes it.
    """
    import torch  # parts are offered without it

    fresh: dict[str, nn.Module] = {}
    for slot, part in list_parts(model):
        if not any(buffer.is_meta for buffer in part.buffers()):
            continue
        if slot not in fresh:
            with torch.device("cpu"), torch.random.fork_rng(devices=[]):
                fresh[slot] = build_part(slot, model.config, model.plugins)
        for name, buffer in fresh[slot].named_buffers():
            place, _, last = name.rpartition(".")
            owner = part.get_submodule(place)
            if owner.get_buffer(last).is_meta:
                setattr(owner, last, buffer.clone())


def make_one_token(part: Callable[..., Tensor], linear: MakeLinear) -> Callable[..., Tensor]:
    """Return a function that computes a part for one position per row.

    This is the part's own `one_token` if it has one, else its `forward`.
    """
    own = getattr(part, "one_token", None)
    if own is not None:
        return own(linear)  # type: ignore[no-any-return]
    return lambda x, *shared: part(x[:, None], *shared)[:, 0]
