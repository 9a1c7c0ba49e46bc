"""Read and write a bundle: the folder that holds one model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from attrs import evolve, field, frozen

from mypt.format.bundle.cross_checks import PER_HEAD
from mypt.format.bundle.examine import examine
from mypt.format.bundle.findings import unwrap_weights
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import TrainingState
from mypt.format.errors import FormatError, PluginError, Problem, sort_by_severity
from mypt.format.layout import BUILT_IN, trainable_shapes
from mypt.format.optimizers.indices import LEGACY_RULES, holds_indices, name_parameters
from mypt.format.rules.config import BROKEN, CLASH, MISSING
from mypt.format.rules.cross_file import digest_problem
from mypt.format.rules.plugin_settings import NO_SETTINGS, OPTIMIZER
from mypt.format.rules.requirements import UNKNOWN
from mypt.format.storage import files
from mypt.format.storage.generations import CHANGING, TRIES, committed_files
from mypt.format.tensors.pt_file import (
    MAX_CHECKED_BYTES,
    check_small_file,
    load_tensors,
    read_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from mypt.format.bundle.findings import Findings
    from mypt.format.documents.manifest import FileRecord, Manifest
    from mypt.format.errors import Severity
    from mypt.format.layout import Layouts
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.storage.files import MappedFiles

T = TypeVar("T")


@frozen(kw_only=True)
class Bundle:
    """One generation of a bundle, without its weights.

    Attributes:
        folder: Where it is.
        format_version: Version that its config is written in; "1" if it names none.
        config: Architecture.
        tokenizer: Vocabulary; None if it has none.
        training_state: Progress; None if it has none.
        manifest: Commit record; None if it has none.
        paths: Where its files were when it was read, by stable name.
        sizes: How many bytes each of them had.
        notes: Warnings and notes.
        needs: The plugins that it requires, by package under its present name, by its documents or
            by its manifest.
        optimizer_name: What the optimizer whose state it holds is called today; None without one.
        flaws: What is wrong with its training state and its optimizer; they are among the notes
            as warnings, since inference needs neither.
    """

    folder: Path
    format_version: str
    config: GPTConfig
    tokenizer: TokenizerState | None = None
    training_state: TrainingState | None = None
    manifest: Manifest | None = None
    paths: Mapping[str, Path] = field(factory=dict)
    sizes: Mapping[str, int] = field(factory=dict)
    notes: tuple[Problem, ...] = ()
    needs: Mapping[str, Any] = field(factory=dict)
    optimizer_name: str | None = None
    flaws: tuple[Problem, ...] = ()

    def weights(self, mapped: MappedFiles | None = None) -> dict[str, Tensor]:
        """Load the weights by name, mapped to memory on the CPU, in the dtype they are stored in.

        Args:
            mapped: Where their file is mapped; by default somewhere of its own.

        Raises:
            FormatError: The file is damaged, or another generation has replaced this one.
            OSError: It cannot be read.
        """
        contents = self._load(files.MODEL, mapped)
        if self.format_version == "1" and isinstance(contents.get("state_dict"), dict):
            contents = contents["state_dict"]
        return dict(contents)

    def optimizer(self) -> dict[str, Any] | None:
        """Load the optimizer state; None where the training state names none that is there.

        Returns:
            The content of `optimizer.pt`; one that knows parameters by index, as before the release
            of format 2.0, by their names.

        Raises:
            FormatError: The file or the training state is damaged, or another generation has
                replaced this one.
            OSError: It cannot be read.
        """
        name = self.training_state.optimizer_file if self.training_state else None
        state = dict(self._load(name)) if name is not None and name in self.paths else None
        self.check_flaws()
        if state is not None and state.get(OPTIMIZER) is not None:
            state[OPTIMIZER] = self.optimizer_name
        return self._name_parameters(state) if holds_indices(state) else state

    def _name_parameters(self, state: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if state is None or self.training_state is None:
            return None
        rules = LEGACY_RULES
        if self.format_version != "1":
            rules = (self.training_state.training_config.weight_decay_on,)
        shapes = trainable_shapes(self.shapes(), tied=self.config.tie_weights)
        return name_parameters(state, shapes, rules)

    def check_flaws(self) -> None:
        """Raise a `FormatError` with all flaws, if there are any: training cannot use them."""
        if self.flaws:
            raise FormatError(*self.flaws)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights by name, without loading them.

        Raises:
            FormatError: The file is damaged, or another generation has replaced this one.
            OSError: It cannot be read.
        """
        file = str(self.folder / files.MODEL)
        header = self.with_file(files.MODEL, partial(read_header, file=file))
        header = unwrap_weights(header) if self.format_version == "1" else header
        return {name: info.shape for name, info in header.tensors().items()}

    def weights_digest(self) -> str:
        """Compute the SHA-256 of the file of weights, in hexadecimal.

        Raises:
            FormatError: It is not what was saved, or another generation has replaced this one.
            OSError: The file cannot be read.
        """
        record = self.manifest.files.get(files.MODEL) if self.manifest else None
        file = str(self.folder / files.MODEL)
        return self.with_file(files.MODEL, partial(_check_digest, record=record, file=file))

    def with_file(self, name: str, use: Callable[[Path], T]) -> T:
        """Do something with a file of this generation, also where it is renamed meanwhile.

        Args:
            name: Its stable name; one of `paths`.
            use: Called with where the file is now, and again if it was no longer there.

        Raises:
            FormatError: `use` says so, or another generation has replaced this one.
            OSError: `use` says so.
        """
        for _ in range(TRIES):
            path = self._current_path(name)
            try:
                result = use(path)
            except FileNotFoundError:  # renamed since it was found
                continue
            except FormatError:
                self._current_path(name)  # a newer generation explains it better
                raise
            self._current_path(name)  # as long as the generation is the same, the file was
            return result
        return self._refuse_changed()

    def check_tensors(self) -> None:
        """Compare weights and optimizer state with what was saved, however large their files are.

        To load them compares small files alone: whoever generates a line does not wait for it.

        Raises:
            FormatError: One is not what was saved, or another generation has replaced this one.
            OSError: One cannot be read.
        """
        for name, record in self.manifest.files.items() if self.manifest else ():
            if name in self.paths and not name.endswith(".json"):
                file = str(self.folder / name)
                self.with_file(name, partial(_check_digest, record=record, file=file))

    def _load(self, name: str, mapped: MappedFiles | None = None) -> Any:
        file = str(self.folder / name)

        def load(path: Path) -> Any:
            self._check_content(name, path, file)
            return load_tensors(path, file, mapped)

        return self.with_file(name, load)

    def _current_path(self, name: str) -> Path:
        """Find a file of this generation, which may have been renamed since."""
        manifest, paths = committed_files(self.folder)
        if manifest != self.manifest:  # not by its number: a bundle may be removed and made anew
            self._refuse_changed()
        return paths.get(name, self.paths[name])

    def _check_content(self, name: str, path: Path, file: str) -> None:
        record = self.manifest.files.get(name) if self.manifest else None
        if record is None:
            check_small_file(path, file)
        elif record.size_bytes <= MAX_CHECKED_BYTES:
            _check_digest(path, record, file)

    def _refuse_changed(self) -> NoReturn:
        what, fix = "was saved anew since it was opened", "open it again"
        raise FormatError(Problem(str(self.folder), "", what, fix, kind=CHANGING))


def _check_digest(path: Path, record: FileRecord | None, file: str) -> str:
    """Return the digest of a file; raise if its record has another."""
    digest = files.digest_file(path, file)
    if record is not None and digest != record.sha256:
        raise FormatError(digest_problem(file))
    return digest


def read_bundle(
    folder: Path,
    layouts: Layouts = BUILT_IN,
    settings: Settings = NO_SETTINGS,
    *,
    without_model: bool = False,
) -> Bundle:
    """Read a bundle: its documents, checked, and the headers of its tensors; no weights.

    What is read is one whole generation, also while another process saves the next. A damaged
    training state is left out, and so is an optimizer state: see `Bundle.flaws`.

    Args:
        folder: The bundle.
        layouts: The architecture parts known; `BUILT_IN` and those of plugins.
        settings: What plugins say of their settings.
        without_model: Whether nobody wants more than its documents. Parts of plugins that are not
            there, or broken, and features that are not known are then no reason to refuse it.

    Raises:
        FormatError: With all that is wrong with it.
        PluginError: All that it lacks is a plugin, or one that works.
        OSError: The folder cannot be read.
    """
    seen = examine(folder, layouts, settings)
    severities: dict[str, Severity] = {PER_HEAD: "error", MISSING: "error"}
    if without_model and files.CONFIG in seen.documents:
        severities = {PER_HEAD: "error", **dict.fromkeys((BROKEN, CLASH, UNKNOWN), "warning")}
    flaws: list[Problem] = seen.flaws
    problems = [
        evolve(problem, severity="warning")
        if problem in flaws
        else evolve(problem, severity=severities.get(problem.kind, problem.severity))
        for problem in seen.problems
    ]
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors and all(problem.kind in (MISSING, BROKEN, CLASH) for problem in errors):
        raise PluginError(*errors)
    if errors:
        raise FormatError(*errors, *flaws)
    config = seen.documents[files.CONFIG]
    tokenizer = seen.documents.get(files.TOKENIZER)
    state = seen.documents.get(files.TRAINING_STATE)
    if state is not None and state["step"] is None:
        state = None  # version 1, saved by hand: there is no progress to tell of
    return Bundle(
        folder=folder,
        format_version=config.get("format_version", "1"),
        config=from_document(GPTConfig, config),
        tokenizer=None if tokenizer is None else from_document(TokenizerState, tokenizer),
        training_state=None if state is None else from_document(TrainingState, state),
        manifest=seen.manifest,
        paths=seen.paths,
        sizes=seen.sizes,
        notes=tuple(sort_by_severity(problems)),
        needs=seen.needs,
        optimizer_name=_find_optimizer_name(seen),
        flaws=tuple(flaws),
    )


def _find_optimizer_name(seen: Findings) -> str | None:
    header = seen.headers.get(seen.optimizer_file)
    contents = None if header is None else header.contents
    name = contents.get(OPTIMIZER) if isinstance(contents, dict) else None
    return name if isinstance(name, str) else None
