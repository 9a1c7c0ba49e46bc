"""Build the parts of a model, and assemble blocks from them.

`mypt.plugins.parts` specifies what the module of each slot must do.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mypt.format.layout import call_with_asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.manager import Plugins


class BuiltPart(NamedTuple):
    """A part of a model.

    Attributes:
        slot: The config field that chose it.
        layer: The layer that it is in; None outside of layers.
        module: The part.
    """

    slot: str
    layer: int | None
    module: nn.Module


class Assembled(Protocol):
    """A model that is assembled from parts."""

    @property
    def config(self) -> GPTConfig: ...  # noqa: D102
    @property
    def plugins(self) -> Plugins: ...  # noqa: D102
    @property
    def parts(self) -> Sequence[BuiltPart]: ...  # noqa: D102


class Assembly:
    """Builds the parts that a config chooses.

    Attributes:
        parts: All that were built; a part comes after the parts that it asked for.
    """

    def __init__(self, config: GPTConfig, plugins: Plugins) -> None:
        """Start without parts.

        Args:
            config: The architecture.
            plugins: Where the parts are looked up.
        """
        self._config = config
        self._plugins = plugins
        self.parts: list[BuiltPart] = []

    def build(self, slot: str, layer: int | None = None) -> nn.Module:
        """Build the part that the config chooses for a slot.

        Args:
            slot: The slot.
            layer: The layer that it is in; None outside of layers.

        Raises:
            PluginError: No plugin provides it.
        """
        factory = self._plugins.part(slot, getattr(self._config, slot))
        part: nn.Module = call_with_asked(
            factory.build,
            self._config,
            layer=layer,
            make_norm=partial(self.build, "norm_type", layer),
            make_block=self.build_block,
        )
        self.parts.append(BuiltPart(slot, layer, part))
        return part

    def build_block(self, layer: int) -> nn.Module:
        """Build one block including its parts.

        Raises:
            PluginError: No plugin provides one of the parts.
        """
        block = self.build("block_type", layer)
        block.sa = self.build("attention_type", layer)
        block.fwd = self.build("mlp_type", layer)
        for place in self._plugins.part("block_type", self._config.block_type).norms:
            setattr(block, place, self.build("norm_type", layer))
        return block


def restore_buffers(model: Assembled) -> None:
    """Give values to the buffers of parts that were built on the meta device.

    A buffer that is not saved follows from the config and the layer, so building its part again
    computes it.
    """
    import torch  # parts are offered without it

    fresh: dict[tuple[str, int | None], nn.Module] = {}
    for slot, layer, part in model.parts:
        if not any(buffer.is_meta for buffer in part.buffers()):
            continue
        if (slot, layer) not in fresh:
            with torch.device("cpu"), torch.random.fork_rng(devices=[]):
                fresh[slot, layer] = Assembly(model.config, model.plugins).build(slot, layer)
        for name, buffer in fresh[slot, layer].named_buffers():
            place, _, last = name.rpartition(".")
            owner = part.get_submodule(place)
            if owner.get_buffer(last).is_meta:
                setattr(owner, last, buffer.clone())
