"""Read presets: those that ship with mypt, and those of the user."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.engine.config.checkpoint_presets import (
    is_bundle,
    preset_of_bundle,
    preset_of_config,
    refuse_checkpoint,
)
from mypt.engine.config.folders import CHECKPOINTS
from mypt.engine.config.overrides import ARCHITECTURE_FIELDS, TRAINING_FIELDS
from mypt.format.bundle.plugin_updates import update_document
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, Problem, UsageError, has_errors, suggestion
from mypt.format.resources import data_dir
from mypt.format.rules.documents import document_problems
from mypt.format.rules.plugin_settings import NO_SETTINGS
from mypt.format.schema import strict_json
from mypt.format.schema.check import check_document
from mypt.format.storage import files
from mypt.format.storage.commit import write_file
from mypt.format.storage.save_errors import make_save_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.resources.abc import Traversable

    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import ReaderFactory
    from mypt.format.rules.plugin_settings import Settings

DEFAULT_TOKENIZATION = "gpt2"
TYPICAL_VOCAB_SIZE = 100  # of characters


@frozen
class Preset:
    """A preset: a file, or what a new model takes from a bundle.

    Attributes:
        file: Its path or name, as given by the user.
        document: Its fields, already validated.
        remarks: What was taken from a bundle and what was not, a line each.
    """

    file: str
    document: Mapping[str, Any]
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Display name."""
        return str(self.document.get("name", Path(self.file).stem))

    @property
    def architecture(self) -> dict[str, Any]:
        """The fields that belong to `config.json`."""
        return {k: v for k, v in self.document.items() if k in ARCHITECTURE_FIELDS}

    @property
    def training(self) -> dict[str, Any]:
        """The fields that belong to `training_config`."""
        return {k: v for k, v in self.document.items() if k in TRAINING_FIELDS}

    @property
    def hyperparameters(self) -> TrainingConfig:
        """The hyperparameters of a run with this preset."""
        return from_document(TrainingConfig, {**to_document(TrainingConfig()), **self.training})

    @property
    def tokenization(self) -> str:
        """The `token_kind` of its models."""
        return str(self.document.get("tokenization", DEFAULT_TOKENIZATION))

    @property
    def config(self) -> GPTConfig:
        """The config of a model with this preset; `TYPICAL_VOCAB_SIZE` where its text decides."""
        is_open = self.tokenization != DEFAULT_TOKENIZATION
        typical = {"vocab_size": TYPICAL_VOCAB_SIZE} if is_open else {}
        return from_document(
            GPTConfig, {**to_document(GPTConfig()), **typical, **self.architecture}
        )


def read_preset(
    path: str,
    layouts: Layouts,
    readers: Iterable[ReaderFactory] = (),
    settings: Settings = NO_SETTINGS,
) -> Preset:
    """Read a preset: a file, one that ships with mypt, or the settings of a bundle.

    Args:
        path: Such as `configs/tiny.json`, `tiny.json` or `tiny`; of a bundle its folder, its
            `config.json`, or the name of a model that no preset has.
        layouts: The architecture parts known.
        readers: Readers of other programs' checkpoints, which are no presets.
        settings: What plugins say of their settings.

    Raises:
        UsageError: The preset does not exist, or is a checkpoint of another program or one file of
            a bundle.
        FormatError: It is not valid JSON, or of a damaged bundle.
        ConfigError: A field is unknown or invalid.
    """
    refuse_checkpoint(Path(path), readers)
    data = _find_preset(path)
    if isinstance(data, Path):
        document, remarks = preset_of_bundle(data, layouts, settings)
    else:
        document, remarks = strict_json.parse(data, path), ()
        if "format_version" in document:  # no preset has one
            document, remarks = preset_of_config(Path(path), document, layouts, settings)
        elif not has_errors(check_document("preset", document, path)):
            document, notes = update_document(document, path, settings, {})
            remarks = tuple(map(str, notes))
    problems = [
        p for p in document_problems("preset", document, path, layouts) if p.severity == "error"
    ]
    if problems:
        raise ConfigError(*problems)
    return Preset(path, document, remarks)


def copy_preset(preset: Preset, path: Path) -> None:
    """Write a preset to a file of its own, to be edited.

    Raises:
        UsageError: There is something by that name already.
        SaveError: It could not be written.
    """
    try:
        write_file(path, strict_json.dump(preset.document))
    except FileExistsError as error:
        fix = "name another file: an existing one is never written over"
        problem = Problem(str(path), "", "is there already", fix, kind="preset.exists")
        raise UsageError(problem) from error
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise make_save_error(path, error, more=", or name a file elsewhere") from error


def shipped_presets() -> list[str]:
    """Return the names of the presets that ship with mypt, as `configs/tiny.json`, sorted."""
    return sorted(_list_json_files(data_dir("configs"), "configs/"))


def short_name(preset: str) -> str:
    """Return the shortest name that means this preset of `shipped_presets`, such as `tiny`."""
    stem = Path(preset).stem
    return stem if _match_name(stem) == preset else _strip(preset)


def _match_name(name: str) -> str | None:
    """Return the shipped preset that a name means; None where there is none.

    A file's name alone means the one that lies nearest: `tiny` is not `modern/tiny`.
    """
    nearest = sorted(shipped_presets(), key=lambda preset: preset.count("/"))
    wanted = _strip(name)
    matching = [p for p in nearest if wanted in (_strip(p), Path(p).stem)]
    return matching[0] if matching else None


def _strip(name: str) -> str:
    return name.removeprefix("configs/").removesuffix(".json")


def _find_preset(path: str) -> bytes | Path:
    """Return the content of a preset, or the folder of a bundle."""
    given = Path(path)
    folder = given.parent if given.name == files.CONFIG else given
    if is_bundle(folder):
        return folder
    if files.is_regular_file(given):
        return given.read_bytes()
    shipped = _match_name(path)
    if shipped is not None:
        return data_dir("configs").joinpath(*Path(shipped).parts[1:]).read_bytes()
    if given.name == path and is_bundle(CHECKPOINTS / path):
        return CHECKPOINTS / path
    short_names = [short_name(name) for name in shipped_presets()]
    near = suggestion(path, shipped_presets()) or suggestion(_strip(path), short_names)
    fix = f"name a file, a model, or one of: {', '.join(short_names)}; all of them: mypt configs"
    raise UsageError(Problem(path, "", f"there is no such preset{near}", fix, kind="preset"))


def _list_json_files(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _list_json_files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".json"):
            yield prefix + entry.name
