"""The interface of readers of foreign or legacy checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.layout import Layouts
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.storage.files import MappedFiles

    # Returns the contents of a `.pt` or safetensors file, without executing code: nested dicts,
    # lists and values, with tensors on the CPU or a `TensorInfo` in place of each. A file of any
    # other form is opened with that form as the second argument.
    Load = Callable[..., Any]


@frozen
class FileForm:
    """A form of file that neither torch nor safetensors wrote, as a reader opens it.

    Attributes:
        describe: Returns the contents of a file, with a `TensorInfo` in place of each tensor; needs
            no torch and reads no weights. Its arguments are the file and its name, for messages.
        load: Returns the same with tensors. Its third argument is where it maps files that it maps,
            or None for somewhere of its own.
    """

    describe: Callable[[Path, str], Any]
    load: Callable[[Path, str, MappedFiles | None], Any]


def _never(_: Path) -> bool:
    return False


@frozen
class ReaderFactory:
    """A reader that a plugin offers.

    Attributes:
        name: Name of the format it reads.
        recognises: Returns whether it can read this file or folder; looks at the content, not the
            name, and never raises.
        read: Reads it and returns a `Checkpoint`, or raises a `FormatError` if it is damaged. Its
            tensors are torch tensors or numpy arrays, which may be mapped to a file. `load` is a
            way to open the files of weights that torch or safetensors wrote, and with a `FileForm`
            as its second argument those of another form; any other file it opens itself. It takes
            what the files do not contain from the options. It is called twice for a model that is
            loaded: to describe it, and for its tensors.
        options: JSON Schema of what it may have to ask for, such as LoRA's alpha: its `properties`
            are the names that `--option NAME=VALUE` accepts. One that is `required` is asked for
            before `read` is called.
        takes_infos: Whether `read` also works where `load` returns a `TensorInfo` in place of each
            tensor. This is then the case where nobody needs more, so that looking at a checkpoint
            takes neither torch nor its weights.
        defers: Returns whether a file that it recognises holds a model that it cannot read, such as
            that of another family in the same kind of file: the reader of another plugin that
            recognises it goes first then. By default it never does.
        offered_by: The plugin that it is from, for messages; set when the plugin is registered,
            and empty for the readers of mypt.
    """

    noun: ClassVar[str] = "reader"

    name: str
    recognises: Callable[[Path], bool] = field(kw_only=True)
    read: Callable[[Path, Load, Mapping[str, Any]], Checkpoint] = field(kw_only=True)
    options: Mapping[str, Any] = field(factory=dict, kw_only=True)
    takes_infos: bool = field(default=False, kw_only=True)
    defers: Callable[[Path], bool] = field(default=_never, kw_only=True)
    offered_by: str = field(default="", kw_only=True)


class Registry(Protocol):
    """What plugins add to the format: parts, their settings, readers, and their versions."""

    @property
    def layouts(self) -> Layouts: ...  # noqa: D102
    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def readers(self) -> Mapping[str, ReaderFactory]: ...  # noqa: D102
    def version_of(self, package: str) -> str | None: ...  # noqa: D102
