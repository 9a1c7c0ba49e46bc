"""The interface of readers of foreign or legacy checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.layout import Layouts
    from mypt.format.rules.plugin_settings import Settings

    # Returns the contents of a `.pt` or safetensors file: with tensors, or with descriptions of
    # them if nobody needs more. The second argument is the file's name for messages.
    Load = Callable[[Path, str], Any]


@frozen
class ReaderFactory:
    """A reader that a plugin offers.

    Attributes:
        name: Name of the format it reads.
        recognises: Returns whether it can read this file or folder; looks at the content, not the
            name, and never raises.
        read: Reads it, or raises a `FormatError`. Opens files of weights with the `Load` it is
            given, and takes what the files do not contain from the options. The checkpoint may be
            of an older version: migrations continue from there.
        options: JSON Schema of what it may have to ask for, such as LoRA's alpha: its `properties`
            are the names that `--option NAME=VALUE` accepts.
    """

    name: str
    recognises: Callable[[Path], bool] = field(kw_only=True)
    read: Callable[[Path, Load, Mapping[str, Any]], Checkpoint] = field(kw_only=True)
    options: Mapping[str, Any] = field(factory=dict, kw_only=True)


class Registry(Protocol):
    """What plugins add to the format: parts, their settings, readers, and their versions."""

    @property
    def layouts(self) -> Layouts: ...  # noqa: D102
    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def readers(self) -> Mapping[str, ReaderFactory]: ...  # noqa: D102
    def version_of(self, package: str) -> str | None: ...  # noqa: D102
