"""Check a reader: what it claims and refuses, and the whole way of what it reads."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mypt.api.info import get_model_info
from mypt.api.load import open_model
from mypt.format.errors import FormatError, MyptError
from mypt.format.migrate import Migrator
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.options import UNSAID
from mypt.format.readers.plugin import mypt_legacy_readers
from mypt.format.readers.read import describe, make_load
from mypt.format.storage import files
from mypt.format.tensors.transforms import have_equal_bits
from mypt.format.validate import validate
from mypt.format.version import DISTRIBUTION
from mypt.testing.expectations import ContractError, check_fields, during, expect
from mypt.testing.foreign_files import list_files, list_traps, replaced, write_strangers
from mypt.testing.registration import UNINSTALLED, register_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from mypt.api.gpt import GPT
    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.plugins.manager import Plugins

_MOST_FILES = 4  # of a sample that are damaged one by one, the largest first


@during("the reader")
def check_reader(
    factory: ReaderFactory,
    sample: str | Path,
    options: Mapping[str, Any] | None = None,
    *,
    plugins: Plugins | None = None,
) -> GPT:
    """Check that a reader claims its own files and no others, and that mypt can use what it reads.

    The sample is looked at, validated, opened, changed in memory, and migrated to a bundle that
    computes the same. Copies of it that are cut short must be refused by a `MyptError`, and nothing
    may run the code of a pickle. The sample itself must stay as it is.

    Args:
        factory: As the plugin offers it.
        sample: A small checkpoint of the other program, a file or a folder.
        options: What the reader has to be told to read it.
        plugins: Where the parts and the tokenizer of the sample are looked up, as `registered`
            returns them; by default only those of mypt can be used.

    Returns:
        The model, to compare its logits with those of the program that wrote the sample.

    Raises:
        ContractError: The reader violates its contract.
    """
    check_fields(factory, ReaderFactory)
    sample, options = Path(sample), dict(options or {})
    if plugins is None:
        is_own = any(factory.read is own.read for own in mypt_legacy_readers())
        plugins = register_beside(factory, DISTRIBUTION if is_own else UNINSTALLED)
    before = _digest_files(sample)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        _check_detection(factory, sample, work)
        _check_description(plugins.readers[factory.name], sample, options, plugins)
        model = _check_use(sample, options, plugins, work)
        _check_damaged(factory, sample, options, plugins, work)
        _check_traps(factory, sample, options, work)
    expect(_digest_files(sample) == before, "the sample is not as it was: reading it changed it")
    return model


def _digest_files(sample: Path) -> dict[str, str]:
    return {str(file): files.digest_file(file, str(file)) for file in list_files(sample)}


@contextmanager
def _without_torch() -> Iterator[None]:
    """Let `import torch` fail, which a command that only looks at files does not wait for."""
    held = sys.modules["torch"]
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules["torch"] = held


def _check_detection(factory: ReaderFactory, sample: Path, work: Path) -> None:
    strangers = write_strangers(work / "strangers")
    with _without_torch():
        with during("`recognises` of the sample, without torch"):
            is_claimed = factory.recognises(sample)
        expect(is_claimed is True, f"`recognises` returns {is_claimed!r} for the sample, not True")
        for what, path in strangers.items():
            with during(f"`recognises` of {what}"):
                is_claimed = factory.recognises(path)
            expect(not is_claimed, f"it claims {what}, which is not of its program")
        for reader in mypt_legacy_readers():
            expect(
                reader.name == factory.name
                or not reader.recognises(sample)
                or reader.defers(sample),
                f"mypt's own reader {reader.name} recognises the sample, and is asked first",
            )


def _check_description(
    reader: ReaderFactory, sample: Path, options: Mapping[str, Any], plugins: Plugins
) -> None:
    """Check that a checkpoint can be described, and says which options it lacks."""

    def look(given: Mapping[str, Any]) -> Checkpoint:
        return describe(sample, reader, plugins.layouts, given, plugins.settings)

    if reader.takes_infos:
        with during("`read` with descriptions, without torch"), _without_torch():
            first = look(options)
    else:
        with during("`read`"):
            first = look(options)
    with during("`read` for a second time"):
        expect(look(options) == first, "read twice, it returns two different checkpoints")
    if options:
        _check_questions(look)


def _check_questions(look: Any) -> None:
    try:
        look({})
    except FormatError as error:
        kinds = {problem.kind for problem in error.problems}
        fix = "raise what `missing_option` returns"
        expect(kinds == {UNSAID}, f"without options it raises {error}; {fix}")
    except MyptError as error:
        message = f"without options it raises {error}; raise what `missing_option` returns"
        raise ContractError(message) from error


def _check_use(sample: Path, options: Mapping[str, Any], plugins: Plugins, work: Path) -> GPT:
    """Check all that can be done with the sample; return its model."""
    readers = tuple(plugins.readers.values())
    with during("`mypt inspect`"):
        get_model_info(sample, plugins=plugins, options=options)
    with during("`mypt format validate`"):
        found = validate(
            sample, plugins.layouts, readers, settings=plugins.settings, options=options
        )
    wrong = [str(problem) for problem in found if problem.severity == "error"]
    expect(not wrong, f"it is not valid: {'; '.join(wrong[:3])}")
    with during("loading"):
        model = _load(sample, plugins, options)
        logits = _compute_logits(model)
    expect(bool(logits.isfinite().all()), "the logits of the loaded model are not finite")
    migrator = Migrator(
        readers=readers,
        written_by="mypt.testing",
        layouts=plugins.layouts,
        settings=plugins.settings,
        version_of=plugins.version_of,
        options=options,
    )
    _check_migration(migrator, sample, work / "bundle")
    with during("the migrated bundle"):
        migrated = _compute_logits(_load(work / "bundle", plugins, {}))
    expect(torch.equal(migrated, logits), "as a bundle, it computes something else")
    with torch.no_grad():  # training a model that was loaded changes its tensors in place
        for parameter in _load(sample, plugins, options).parameters():
            parameter.add_(1.0)
    is_own = torch.equal(_compute_logits(model), logits)
    expect(is_own, "two models that are loaded from the sample share their tensors")
    return model


def _check_migration(migrator: Migrator, sample: Path, bundle: Path) -> None:
    for result in ("migrated", "there already"):
        with during("`mypt format migrate`"):
            report = migrator.migrate(sample, bundle)
        expect(report.result == result, f"migrated again, it is another model: {report.result}")


@torch.no_grad()
def _compute_logits(model: GPT) -> Tensor:
    idx = torch.arange(min(8, model.config.block_size))[None] % model.config.vocab_size
    logits: Tensor = model(idx)
    return logits


def _load(path: Path, plugins: Plugins, options: Mapping[str, Any]) -> GPT:
    return open_model(path, plugins, options, device="cpu", report=lambda _: None)


def _check_damaged(
    factory: ReaderFactory, sample: Path, options: Mapping[str, Any], plugins: Plugins, work: Path
) -> None:
    """Check that no copy with a file cut short is read as another model, or ends in a raw error."""
    whole = _read(factory, sample, options)
    for file in list_files(sample)[:_MOST_FILES]:
        data = file.read_bytes()
        for length in sorted({0, 1, len(data) // 2, len(data) * 9 // 10, max(0, len(data) - 1)}):
            what = f"a copy with {file.name} cut to {length} of {len(data)} bytes"
            with replaced(sample, file, data[:length], work / "cut") as copy:
                with during(f"`recognises` of {what}"):
                    is_claimed = factory.recognises(copy)
                if not is_claimed:
                    continue
                try:
                    found = _read(factory, copy, options)
                    same = _are_equal(found, whole)
                    describe(copy, plugins.readers[factory.name], plugins.layouts, options)
                except (MyptError, OSError):
                    continue
                except Exception as error:
                    raised = f"{type(error).__name__}: {error}"
                    message = f"{what} makes `read` raise {raised}; raise a FormatError"
                    raise ContractError(message) from error
                expect(same, f"{what} is read as if it were whole")


def _read(factory: ReaderFactory, path: Path, options: Mapping[str, Any]) -> Checkpoint:
    return factory.read(path, make_load(), options)


def _are_equal(one: Checkpoint, other: Checkpoint) -> bool:
    if one.tensors.keys() != other.tensors.keys() or one.config != other.config:
        return False
    pairs = [
        (torch.as_tensor(t), torch.as_tensor(other.tensors[n])) for n, t in one.tensors.items()
    ]
    return all(have_equal_bits(*pair) for pair in pairs)


def _check_traps(
    factory: ReaderFactory, sample: Path, options: Mapping[str, Any], work: Path
) -> None:
    """Check that no pickle in place of a file is executed."""
    sprung = work / "sprung"
    for form, data in list_traps(sprung).items():
        for file in list_files(sample)[:_MOST_FILES]:
            with replaced(sample, file, data, work / "trap") as copy, suppress(Exception):
                factory.recognises(copy)
                _read(factory, copy, options)
            expect(
                not files.is_present(sprung),
                f"it executes the code of {form} in place of {file.name}: a checkpoint from "
                "somebody else could run any program",
            )
