"""A model of another program in mypt's terms: what every reader of one makes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.layout import BUILT_IN

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts
    from mypt.format.readers.shared.tensor_source import TensorSource


@frozen(kw_only=True)
class ForeignModel:
    """A model of another program in mypt's terms.

    Attributes:
        document: Fields of `config.json`.
        config: The same as an object.
        sources: The source of each of mypt's tensors.
        held: The tensors under the names that the program has for them, in the order of the file,
            without buffers and without a tied head; or their descriptions.
        tensors: The tensors under mypt's names, or their descriptions.
        layouts: The architecture parts that its reader knows.
        report: What a user should know, one line each.
        remarks: What a user should know at every opening, one line each.
    """

    document: dict[str, Any]
    config: GPTConfig
    sources: dict[str, TensorSource]
    held: dict[str, Any]
    tensors: dict[str, Any]
    layouts: Layouts = BUILT_IN
    report: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
