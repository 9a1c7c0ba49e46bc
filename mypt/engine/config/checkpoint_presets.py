"""The documents of a bundle as a preset: a new model of the same architecture and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.engine.config.overrides import ARCHITECTURE_FIELDS, TRAINING_FIELDS
from mypt.format.bundle.detect import classify, is_hugging_face
from mypt.format.bundle.plugin_updates import update_document
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.errors import FormatError, Problem, UsageError, has_errors
from mypt.format.migrations import upgrade
from mypt.format.readers import mypt_folder
from mypt.format.readers.read import find_reader
from mypt.format.rules.documents import document_problems
from mypt.format.schema.check import check_document
from mypt.format.storage import files
from mypt.format.storage.generations import committed_document, read_manifest
from mypt.format.tensors.weights_file import describe_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mypt.format.documents.convert import Document
    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import ReaderFactory
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.schema.check import Kind

# What belongs to one run or to one machine, names its files, or is about weights that it had.
_NOT_TAKEN = frozenset(
    {
        *("device", "start_step", "config_file", "log_file", "log_sinks", "requires"),
        *("input_file", "val_file", "dataset_dir", "mixture", "curriculum"),
        *("eval_dataset_dir", "eval_sets", "gold_metric"),
        *("init_from_model", "freeze_layers", "freeze_embeddings"),
        *("adapter", "lora_rank", "lora_alpha", "lora_targets", "lora_dropout"),
    }
)
_OTHER_FILES = frozenset({*files.BUNDLE_FILES, files.MANIFEST} - {files.CONFIG})
_CHAR = "char"  # the kind whose vocabulary is that of its text


def is_bundle(folder: Path) -> bool:
    """Return whether a path is the folder of a bundle, of version 1 or 2."""
    return classify(folder) in ("bundle", "version_1")


def refuse_checkpoint(path: Path, readers: Iterable[ReaderFactory]) -> None:
    """Raise if a path is a checkpoint of another program, or a file of a checkpoint.

    The folder of a bundle and its config.json are presets, and so is any other JSON file but the
    config.json of Hugging Face.

    Args:
        path: What was given for a preset.
        readers: Readers of other programs' checkpoints.

    Raises:
        UsageError: It is one.
    """
    is_part = path.name in _OTHER_FILES and files.is_regular_file(path)
    folder = path.parent if is_part or path.name == files.CONFIG else path
    if not files.is_present(path) or (is_bundle(folder) and not is_part):
        return
    if is_part and is_bundle(folder):
        what, fix = "is one file of a checkpoint", f"name the folder: {folder}"
        raise UsageError(Problem(str(path), "", what, fix, kind="preset.part"))
    is_config = files.is_regular_file(path) and path.suffix == ".json" and not is_part
    if is_config and not _is_hugging_face(path):
        return
    reader = find_reader(folder, readers)
    if reader is None and not is_config:
        return
    program = "Hugging Face" if reader is None else reader.name
    weights = "and its folder" if reader is None else str(folder)
    what = f"is of a checkpoint of another program ({program}), not a preset"
    fix = f"begin from its weights: --init_from_model {weights}"
    raise UsageError(Problem(str(path), "", what, fix, kind="preset.foreign"))


def _is_hugging_face(path: Path) -> bool:
    try:
        return is_hugging_face(files.read_document(path, str(path))[0])
    except (FormatError, OSError):
        return False  # reading it as a preset says why


def preset_of_bundle(
    folder: Path, layouts: Layouts, settings: Settings
) -> tuple[Document, tuple[str, ...]]:
    """Make a preset of a bundle; neither weights nor the optimizer are read.

    Args:
        folder: The bundle, of version 1 or 2.
        layouts: The architecture parts known.
        settings: What plugins say of their settings.

    Returns:
        The fields of the preset, and what is taken and what is not, a line each.

    Raises:
        FormatError: Its config or its tokenizer is damaged.
        OSError: One cannot be read.
    """
    config = committed_document(folder, files.CONFIG)
    tokenizer = committed_document(folder, files.TOKENIZER)
    manifest = read_manifest(folder)
    update = _Update(settings, manifest.plugins if manifest else {})
    state, damage = _read_state(folder, update)
    if config is not None and mypt_folder.recognises(folder):
        found = mypt_folder.read(folder, lambda file: describe_weights(file, str(file)), {})
        whole = upgrade(evolve(found, optimizer=None))
        config, tokenizer = whole.config, whole.tokenizer
    config = update.check("config", config or {}, folder / files.CONFIG, layouts)
    if tokenizer is not None:
        tokenizer = update.check("tokenizer", tokenizer, folder / files.TOKENIZER, layouts)
    return _make_preset(folder.resolve().name, config, tokenizer, state, damage)


def preset_of_config(
    path: Path, config: Document, layouts: Layouts, settings: Settings
) -> tuple[Document, tuple[str, ...]]:
    """Make a preset of a `config.json` that was copied out of its bundle.

    Returns:
        As `preset_of_bundle` does.

    Raises:
        FormatError: It is no valid one.
    """
    config = _Update(settings, {}).check("config", config, path, layouts)
    return _make_preset(path.stem, config, None, None, None)


def _read_state(folder: Path, update: _Update) -> tuple[Document | None, Problem | None]:
    """Read the training state; return what is wrong with it instead, which is no reason to stop."""
    file = folder / files.TRAINING_STATE
    try:
        state = committed_document(folder, files.TRAINING_STATE)
        if state is None or state.get("step") is None:
            return None, None
        state = update.check("training_state", state, file, {})
    except FormatError as error:
        return None, error.problems[0]
    return state, None


@frozen
class _Update:
    """What brings documents up to date with the plugins that are here.

    Attributes:
        settings: What plugins say of their settings.
        needs: The packages that the documents were saved with.
    """

    settings: Settings
    needs: Mapping[str, Any]

    def check(self, kind: Kind, document: Document, file: Path, layouts: Layouts) -> Document:
        """Return a document with the present names of plugins.

        Raises:
            FormatError: It is no valid one.
        """
        if not has_errors(check_document(kind, document, str(file))):
            document, _ = update_document(document, str(file), self.settings, self.needs)
        problems = document_problems(kind, document, str(file), layouts)
        if has_errors(problems):
            raise FormatError(*(problem for problem in problems if problem.severity == "error"))
        return document


def _make_preset(
    name: str,
    config: Document,
    tokenizer: Document | None,
    state: Document | None,
    damage: Problem | None,
) -> tuple[Document, tuple[str, ...]]:
    training = {} if state is None else state.get("training_config", {})
    architecture, settings = _pick(config, ARCHITECTURE_FIELDS), _pick(training, TRAINING_FIELDS)
    whole = from_document(GPTConfig, config)
    architecture |= {name: whole.meaning_of(name) for name in GPTConfig.OMITTED}
    kind = {} if tokenizer is None else {"tokenization": tokenizer["token_kind"]}
    if kind.get("tokenization", _CHAR) == _CHAR:
        architecture.pop("vocab_size", None)
    step = "" if state is None else f", at step {state['step']}"
    about = {"name": name, "description": f"The settings of {name}{step}"}
    document = {**about, **kind, **architecture, **settings}
    taken = ["architecture", *(f"tokenizer {value}" for value in kind.values()), *settings]
    left = [
        field for field, value in {**config, **training}.items() if field in _NOT_TAKEN and value
    ]
    left += ["vocab_size"] if "vocab_size" not in architecture else []
    remarks = [
        f"Taken from {name}: {', '.join(taken)}",
        f"Not taken from {name}: {', '.join(['weights', 'vocabulary', *left])}",
    ]
    if damage is not None:
        remarks.append(f"The hyperparameters of {name} are not taken: {damage}")
    elif not settings:
        remarks.append(f"{name} records no hyperparameters: the defaults are taken")
    return document, tuple(remarks)


def _pick(document: Document, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields that a new model takes, in the order of their document."""
    wanted = frozenset(names) - _NOT_TAKEN
    return {k: v for k, v in document.items() if k in wanted and v not in (None, {}, [])}
