"""Linear layers with small trainable matrices beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mypt.plugins.nn.dropout import dropout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypt.format.adapters.places import Place
    from mypt.format.documents.config_parts.adapter import Adapter
    from mypt.plugins.parts import MakeLinear


class LoraPair(nn.Module):
    """The two matrices of a low-rank product."""

    def __init__(self, rank: int, columns: int, rows: int, like: Tensor) -> None:
        """Allocate (rank, columns) and (rows, rank) values, of the dtype and device of `like`."""
        super().__init__()
        self.lora_A = nn.Parameter(like.new_zeros(rank, columns))
        self.lora_B = nn.Parameter(like.new_zeros(rows, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., columns) to (..., rows)."""
        return F.linear(F.linear(x, self.lora_A), self.lora_B)

    def product(self) -> Tensor:
        """Return B A, (rows, columns), in float64."""
        return self.lora_B.detach().double() @ self.lora_A.detach().double()


class LoraLinear(LoraPair):
    """A linear layer with a low-rank product for all of its rows.

    It has no `weight`: a part that multiplies by one itself would leave the adapter out.

    Source: Hu et al. 2021 (LoRA), section 4.1.
    """

    def __init__(self, base: nn.Linear, adapter: Adapter) -> None:
        """Put an adapter of zeros beside a layer."""
        super().__init__(adapter.rank, base.in_features, base.out_features, base.weight)
        self.base, self.scale, self.dropout = base, adapter.scale, adapter.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        out: Tensor = self.base(x)
        return torch.add(out, super().forward(_drop(self, x)), alpha=self.scale)

    def one_token(self, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        base, scale, add = linear(self.base), self.scale, super().forward
        return lambda x: torch.add(base(x), add(x), alpha=scale)

    def merged(self) -> Tensor:
        """Return the one matrix that does the same, in the dtype of the base's."""
        weight = self.base.weight.detach()
        return (weight.double() + self.scale * self.product()).to(weight.dtype)


class LoraParts(nn.Module):
    """A linear layer with low-rank products of their own for some of its rows; see `LoraLinear`."""

    def __init__(self, base: nn.Linear, places: Sequence[Place], adapter: Adapter) -> None:
        """Put adapters of zeros beside a layer, each for some of its rows."""
        super().__init__()
        self.places = tuple(places)
        for place in places:
            pair = LoraPair(adapter.rank, place.columns, place.rows, base.weight)
            self.add_module(place.part, pair)
        self.base, self.scale, self.dropout = base, adapter.scale, adapter.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return self._add(self.base(x), _drop(self, x))

    def one_token(self, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        base = linear(self.base)
        return lambda x: self._add(base(x), x)

    def merged(self) -> Tensor:
        """Return the one matrix that does the same, in the dtype of the base's."""
        weight = self.base.weight.detach()
        merged = weight.double()
        for place in self.places:
            merged[place.begin : place.begin + place.rows] += (
                self.scale * self._pair(place).product()
            )
        return merged.to(weight.dtype)

    def _add(self, out: Tensor, x: Tensor) -> Tensor:
        """Add the products of `x` to their rows of `out`."""
        columns, end = [], 0
        for place in self.places:
            begin, stop = place.begin, place.begin + place.rows
            columns.append(out[..., end:begin])
            columns.append(torch.add(out[..., begin:stop], self._pair(place)(x), alpha=self.scale))
            end = stop
        return torch.cat([*columns, out[..., end:]], dim=-1)

    def _pair(self, place: Place) -> LoraPair:
        return cast("LoraPair", self.get_submodule(place.part))


Adapted = (LoraLinear, LoraParts)


def _drop(layer: LoraLinear | LoraParts, x: Tensor) -> Tensor:
    return dropout(x, layer.dropout) if layer.training and layer.dropout else x


def adapted_linear(linear: MakeLinear) -> MakeLinear:
    """Return a maker of functions that knows linear layers with an adapter too."""

    def make(layer: nn.Module, /) -> Callable[[Tensor], Tensor]:
        return layer.one_token(linear) if isinstance(layer, Adapted) else linear(layer)

    return make
