"""What a reader of foreign or legacy checkpoints offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from torch import Tensor


@frozen(kw_only=True)
class ForeignModel:
    """What a reader found, already in the terms of format 2.

    Attributes:
        config: Fields of `config.json`.
        tokenizer: Fields of `tokenizer.json`; None where the source does not say.
        training_state: Fields of `training_state.json`; None where there are none.
        tensors: Weights under the names of format 2.
        optimizer: An AdamW state dict in the parameter order of format 2, if there is one.
        report: What was mapped, defaulted or left out, a line each.
    """

    config: Mapping[str, Any]
    tokenizer: Mapping[str, Any] | None
    training_state: Mapping[str, Any] | None
    tensors: Mapping[str, Tensor]
    optimizer: Mapping[str, Any] | None = None
    report: tuple[str, ...] = ()


@frozen
class ReaderFactory:
    """A reader on offer.

    Attributes:
        name: Name of the format it reads.
        recognises: Whether it can read this file or folder; looks at the content, not the name,
            and never raises.
        read: Reads it, or raises a `FormatError`.
        options: JSON Schema of what it may have to ask for, such as LoRA's alpha.
    """

    name: str
    recognises: Callable[[Path], bool] = field(kw_only=True)
    read: Callable[[Path, Mapping[str, Any]], ForeignModel] = field(kw_only=True)
    options: Mapping[str, Any] = field(factory=dict, kw_only=True)
