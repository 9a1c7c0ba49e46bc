"""A whole checkpoint in memory: what readers return and migrations transform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.errors import Problem


@frozen(kw_only=True)
class Checkpoint:
    """A checkpoint at some version of the format.

    Attributes:
        version: "0" (one file), "1" (the folder without a version) or "2.0", the current one.
        config: Fields of `config.json`.
        tokenizer: Fields of `tokenizer.json`; None if the source has none.
        training_state: Fields of `training_state.json`; None if there are none.
        tensors: Weights under the names of that version, in the order they were stored. Of a
            reader: torch tensors, numpy arrays, or a `TensorInfo` where it was given those. Of
            mypt: torch tensors, or `TensorInfo` if only descriptions were requested.
        optimizer: What `optimizer.pt` of that version holds, if there is one, with tensors of the
            same kind. Of a reader, an AdamW state dict may also know the parameters by index, in
            the order that version 1 has them in.
        report: What was mapped, defaulted or left out so far, one line each.
        remarks: What its files leave open or contradict, and what it computes depends on, such as
            an activation that is assumed; one line each, for whoever opens it, every time.
        flaws: What is wrong with its training state or its optimizer, which is then None; an error
            for training and a warning for inference.
    """

    version: str = FORMAT_VERSION
    config: Mapping[str, Any]
    tokenizer: Mapping[str, Any] | None = None
    training_state: Mapping[str, Any] | None = None
    tensors: Mapping[str, Any] = field(factory=dict, repr=False)
    optimizer: Mapping[str, Any] | None = field(default=None, repr=False)
    report: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    flaws: tuple[Problem, ...] = ()
