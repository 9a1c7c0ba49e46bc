"""What a look at a bundle found, and how it goes on after a file that cannot be read."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_optional_document
from mypt.format.errors import FormatError, log_traceback
from mypt.format.rules.config import MISSING
from mypt.format.rules.requirements import REQUIRES, SCOPES, UNKNOWN, merge_needs
from mypt.format.rules.training_only import concerns_training, may_hold_optimizer
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypt.format.documents.convert import Document
    from mypt.format.documents.manifest import Manifest
    from mypt.format.errors import Problem
    from mypt.format.schema.check import Kind
    from mypt.format.tensors.pt_file import Header


@frozen(kw_only=True)
class Findings:
    """What a look at a bundle found.

    Attributes:
        folder: The bundle.
        manifest: Its commit record; None if it has none, or none that can be used.
        paths: Where its files are now, by stable name.
        sizes: How many bytes each of them has.
        documents: Its JSON documents that their schemas accept, by stable name.
        headers: What its files of tensors say of themselves, by stable name.
        problems: All that was found, in the order in which it was.
        recorded_needs: Packages that it was saved with, as `plugins` of its manifest has them,
            under the names that they have today.
    """

    folder: Path
    manifest: Manifest | None = None
    paths: dict[str, Path] = field(factory=dict)
    sizes: dict[str, int] = field(factory=dict)
    documents: dict[str, Document] = field(factory=dict)
    headers: dict[str, Header] = field(factory=dict)
    problems: list[Problem] = field(factory=list)
    recorded_needs: Mapping[str, Any] = field(factory=dict)
    _names: dict[str, str] = field(factory=dict, init=False)

    @cached_property
    def config(self) -> GPTConfig | None:
        """The architecture; None if there is no `config.json` that its schema accepts.

        Asked for once the documents are read.
        """
        return from_optional_document(GPTConfig, self.documents.get(files.CONFIG))

    @cached_property
    def requires(self) -> dict[Kind, tuple[str, ...]]:
        """What its documents require, by kind; asked for once they are read."""
        return {
            kind: tuple(self.documents[scope.file].get(REQUIRES, ()))
            for kind, scope in SCOPES.items()
            if scope.file in self.documents
        }

    @cached_property
    def needs(self) -> dict[str, dict[str, Any]]:
        """The plugins that it requires, by package, by its documents or by its manifest."""
        return merge_needs(self.recorded_needs, self.requires)

    def is_understood(self, name: str) -> bool:
        """Return whether a document is there, and means what this version takes it to mean."""
        file = self.name(name)
        is_unknown = any(p.file == file and p.kind in (UNKNOWN, MISSING) for p in self.problems)
        return name in self.documents and not is_unknown

    @property
    def is_legacy(self) -> bool:
        """Whether its config is of version 1."""
        return "format_version" not in self.documents.get(files.CONFIG, {"format_version": ""})

    @property
    def optimizer_file(self) -> str:
        """Name of the optimizer's file, by the training state or by default."""
        state = self.documents.get(files.TRAINING_STATE, {})
        name = state.get("optimizer_file") or files.OPTIMIZER
        return name if may_hold_optimizer(name) else files.OPTIMIZER

    @property
    def flaws(self) -> list[Problem]:
        """The errors that matter to training alone."""
        names = self.name(files.TRAINING_STATE), self.name(self.optimizer_file)
        return [p for p in self.problems if p.severity == "error" and concerns_training(p, names)]

    def name(self, file: str) -> str:
        """Name a file of the bundle as the user would."""
        if file not in self._names:
            self._names[file] = str(self.folder / file)
        return self._names[file]


def unwrap_weights(header: Header) -> Header:
    """Return the header of the state dict, without the wrapper that version 1 sometimes added."""
    match header.contents:
        case {"state_dict": dict() as inner}:
            return evolve(header, contents=inner)
    return header


@contextmanager
def collecting(problems: list[Problem], file: str) -> Iterator[None]:
    """Take note of what makes a file unreadable, and go on with the others."""
    try:
        yield
    except FormatError as error:
        log_traceback(error)
        problems += error.problems
    except FileNotFoundError:
        raise
    except OSError as error:
        problems.append(files.unreadable_problem(error, file))
