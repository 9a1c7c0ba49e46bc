"""The position encoding of Bloom and Falcon, which is a part of the plugin mypt-alibi."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.layout import BUILT_IN, PartLayout, no_tensors

if TYPE_CHECKING:
    from mypt.format.layout import Layouts

ALIBI, PACKAGE = "alibi", "mypt-alibi"
LAYOUTS: Layouts = {**BUILT_IN, ("pos_encoding", ALIBI): PartLayout(no_tensors)}
