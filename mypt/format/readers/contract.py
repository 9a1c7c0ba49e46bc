"""What a reader of foreign or legacy checkpoints offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.layout import Layouts
    from mypt.format.rules.plugin_settings import Settings

    # Gives the contents of a `.pt` or safetensors file: with tensors, or with descriptions of them
    # where nobody needs more. The second argument is the file's name for messages.
    Load = Callable[[Path, str], Any]


@frozen
class ReaderFactory:
    """A reader on offer.

    Attributes:
        name: Name of the format it reads.
        recognises: Whether it can read this file or folder; looks at the content, not the name,
            and never raises.
        read: Reads it, opening files of weights with the `Load` it is given, and taking what it may
            ask for from the options; or raises a `FormatError`. What it gives may be of an older
            version: migrations take it from there.
        options: JSON Schema of what it may have to ask for, such as LoRA's alpha: its `properties`
            are the names that `--option NAME=VALUE` takes.
    """

    name: str
    recognises: Callable[[Path], bool] = field(kw_only=True)
    read: Callable[[Path, Load, Mapping[str, Any]], Checkpoint] = field(kw_only=True)
    options: Mapping[str, Any] = field(factory=dict, kw_only=True)


class Registry(Protocol):
    """What is known beyond the format itself: parts, their settings, readers."""

    @property
    def layouts(self) -> Layouts: ...  # noqa: D102
    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def readers(self) -> Mapping[str, ReaderFactory]: ...  # noqa: D102
