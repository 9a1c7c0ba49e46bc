"""A checkpoint as it was opened, whatever wrote it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve, field, frozen

from mypt.format.bundle.edits import changes_output
from mypt.format.errors import FormatError, Problem, one_line
from mypt.format.rules.cross_file import MISSING_FILE
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.manifest import Manifest
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingState

_LOGGER = logging.getLogger("mypt")


class ReadWeights(Protocol):
    """Read the weights of a checkpoint; see `Opened.weights`."""

    def __call__(self, convert: Callable[[Tensor], Tensor] | None = None) -> Mapping[str, Tensor]:
        """Return the tensors by name."""
        ...


@frozen(kw_only=True)
class Opened:
    """A checkpoint, whatever wrote it.

    Attributes:
        path: Where it is.
        format: Version of a bundle, or name of the reader that opened it.
        config: Architecture.
        tokenizer: Vocabulary; None if it has none.
        training_state: Progress; None if it has none.
        sizes: How many bytes each of its files has, by their names.
        notes: What a user should know of it, a line each.
        found: What was found of a bundle, whose lines are `notes`.
        edits: Edits of its documents since they were saved.
        remarks: What its reader had to decide about what it computes, a line each; also in `notes`.
        doubts: Why training cannot go on from it exactly, as far as the files tell.
        flaws: What is wrong with its training state or its optimizer: inference warns of them, and
            whatever trains is refused; see `check_flaws`.
        plugin_changes: Plugins that it generates with, of other versions than it was saved with.
        lacking: What inference takes that is not here: parts and tokenizers of plugins, and
            features of a later version of the format.
        needs: The plugins that it requires, by package, as a manifest has them but under present
            names.
        manifest: Commit record of a bundle; None where there is none.
        weights: Gives the tensors by name, on the CPU; mapped to their file as far as they are as
            the file has them. Takes a function that converts each of them, while the memory of the
            file and of those that are converted is given back.
        shapes: Gives their shapes by name, without loading them.
        digest: Computes the SHA-256 of the file of weights, in hexadecimal; of several files,
            that of their digests.
        optimizer: Gives the optimizer state, as `optimizer.pt` has it; None where there is none. Of
            a sharded save, the state of a parameter is read each time that it is asked for.
        check: Compares the files of both with what was saved, however large; may take seconds.
        base_path: Where the base of an adapter is, as a user says; None to look for it.
        is_proved: Whether the config was checked against the schema and all rules, those of
            plugins included, so that a model can be built from it without another check.
    """

    path: Path
    format: str
    config: GPTConfig
    tokenizer: TokenizerState | None
    training_state: TrainingState | None
    sizes: Mapping[str, int]
    notes: tuple[str, ...]
    weights: ReadWeights
    shapes: Callable[[], Mapping[str, tuple[int, ...]]]
    digest: Callable[[], str]
    optimizer: Callable[[], Mapping[str, Any] | None]
    check: Callable[[], None] = lambda: None
    found: tuple[Problem, ...] = ()
    edits: tuple[Problem, ...] = ()
    remarks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    flaws: tuple[Problem, ...] = ()
    plugin_changes: tuple[Problem, ...] = ()
    lacking: tuple[Problem, ...] = ()
    needs: Mapping[str, Any] = field(factory=dict)
    manifest: Manifest | None = None
    base_path: Path | None = None
    is_proved: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for inference, a line each: a lost tokenizer, edits, changed plugins, flaws.

        Of a damaged file it is one flaw. Edits that nothing but training depends on are none.
        """
        first = {flaw.file: flaw for flaw in reversed(self.flaws)}
        flaws = (f"{flaw}; only training needs it" for flaw in reversed(first.values()))
        edits = filter(changes_output, self.edits)
        lost = filter(self._is_lost_tokenizer, self.found)
        return (*map(str, lost), *map(str, edits), *map(str, self.plugin_changes), *flaws)

    @property
    def notices(self) -> tuple[str, ...]:
        """The notes for training, a line each, with the severity of what was found of a bundle."""
        labelled = tuple(f"{problem.severity}: {problem}" for problem in self.found)
        return labelled or self.notes  # what a reader notes has no severity

    def _is_lost_tokenizer(self, problem: Problem) -> bool:
        listed = () if self.manifest is None else self.manifest.files
        name = Path(problem.file).name
        return problem.kind == MISSING_FILE and name == files.TOKENIZER and name in listed

    def need_tokenizer(self) -> TokenizerState:
        """Return what is known of the vocabulary, without which nothing can be trained.

        Raises:
            FormatError: There is none.
        """
        if self.tokenizer is None:
            if files.is_regular_file(self.path):
                what = "has no tokenizer, and training needs the vocabulary of the model"
                fix = "use a copy that has one"
                raise FormatError(Problem(str(self.path), "", what, fix))
            what, fix = "is missing", "restore it: training needs the vocabulary of the model"
            raise FormatError(Problem(str(self.path / files.TOKENIZER), "", what, fix))
        return self.tokenizer

    def check_tokenizer(self) -> None:
        """Raise a `FormatError` if its tokenizer requires what is not here."""
        lacking = [p for p in self.lacking if Path(p.file).name == files.TOKENIZER]
        if lacking:
            raise FormatError(*(evolve(problem, severity="error") for problem in lacking))

    def check_flaws(self) -> None:
        """Raise a `FormatError` with all flaws, if there are any: training cannot use them."""
        if self.flaws:
            raise FormatError(*self.flaws)


def log_warnings(opened: Opened) -> None:
    """Log what a program that opens a checkpoint for inference should know of it."""
    for line in (*opened.remarks, *opened.warnings):
        _LOGGER.warning("%s", one_line(line))


def digest_tensor_files(opened: Opened) -> dict[str, str]:
    """Return the SHA-256 of each file of tensors, by name; of a manifest where there is one.

    Raises:
        OSError: A file cannot be read.
    """
    folder = opened.path if files.is_folder(opened.path) else opened.path.parent
    records = {} if opened.manifest is None else opened.manifest.files
    return {
        name: records[name].sha256
        if name in records
        else files.digest_file(folder / name, str(folder / name))
        for name in opened.sizes
        if not name.endswith(".json")
    }
