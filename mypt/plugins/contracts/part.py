"""Architecture parts, by the config field that selects them; `mypt.plugins.parts` has each slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from mypt.format.layout import TWO_NORMS, PartLayout, Shape, no_tensors
from mypt.plugins.contracts.factory import JsonSchema, VersionedFactory

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


@frozen
class PartFactory(VersionedFactory):
    """An architecture part that a plugin offers; see also `VersionedFactory`.

    `build` and `tensors` take the config, and by name those of these arguments that they name:

    * `layer`, both: the number of the layer that the part is in, 0 ... n_layer - 1; None outside of
      layers. A part whose tensors differ between layers names it in both.
    * `make_norm`, `build`: a function without arguments that makes a norm of the config, in that
      layer, for a part that has norms. `norm`, `tensors`: the tensors of one, relative to it.
    * `make_block`, `build` of a `stack_type`: a function from a layer to a block of the config.
      `block`, `tensors` of a `stack_type`: the tensors of a block in that layer, relative to it. A
      stack that names `block` is made of blocks. For one that does not, `attention_type`,
      `mlp_type` and `block_type` of the config mean nothing.

    Attributes:
        slot: The config field that selects it: one of `mypt.format.layout.SLOTS`.
        name: Its value in that field.
        build: Builds the module; `mypt.plugins.parts` specifies what each slot's module must do.
        tensors: Names, relative to the part, and shapes of its parameters, in order. Those of a
            stack that names `layer` or `block` are, for a layer, the tensors of that layer,
            relative to it, and for None the others, which come before those of the layers.
        options: JSON Schema of its settings: the section of its package in `plugins` of a config.
        norms: Of a `block_type`, the attributes that mypt sets to norms, in the order of their
            parameters.
    """

    slot: str
    name: str
    build: Callable[..., nn.Module]
    tensors: Callable[..., dict[str, Shape]] = no_tensors
    options: JsonSchema = field(factory=dict, kw_only=True)
    norms: tuple[str, ...] = field(default=TWO_NORMS, kw_only=True)

    @property
    def layout(self) -> PartLayout:
        """What the format knows of it."""
        return PartLayout(self.tensors, self.norms)
