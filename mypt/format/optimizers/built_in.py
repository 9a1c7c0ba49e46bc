"""The optimizers that come with mypt, as the format knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.optimizers import adafactor, adamw, muon, sgd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.optimizers.declaration import Declaration

BUILT_IN_OPTIMIZERS: Mapping[str, Declaration] = {
    adamw.NAME: adamw.ADAMW,
    muon.NAME: muon.MUON,
    adafactor.NAME: adafactor.ADAFACTOR,
    sgd.NAME: sgd.SGD,
}
