"""Prepare a data set of token shards from texts that may be larger than memory."""

from __future__ import annotations

import hashlib
import logging
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from mypt.data.dataset import read_tokenizer_state
from mypt.data.document_ends import DocumentEncoder
from mypt.data.input_files import resolve_inputs
from mypt.data.inspection.describe import check_dataset, find_changed_files
from mypt.data.metadata import METADATA_FILE, PROGRESS_FILE, STATE_FILE, read_metadata
from mypt.data.new_tokenizer import NewTokenizer
from mypt.data.prepare.parallel import encode_pieces
from mypt.data.prepare.part import Part, PartRecord, list_inputs, segments_sha256
from mypt.data.prepare.pieces import cut_anywhere, find_cut_function, read_pieces
from mypt.data.prepare.progress import Progress, check_same_settings, load_progress
from mypt.data.prepare.segments import assign_segments, inputs_sha256, plan_segments
from mypt.data.prepare.shard_filler import DTYPES, ShardFiller, describe_shards
from mypt.data.prepare.text_files import STDIN_FILE, list_text_files
from mypt.data.sources.choice import SourceChoice
from mypt.format.documents.vocabulary import describe_for_data
from mypt.format.errors import DataError, Problem, SaveError, format_count
from mypt.format.schema import strict_json
from mypt.format.storage.atomic_file import PARTIAL, partial_path, write_atomically
from mypt.format.storage.files import digest_file, is_folder, is_present
from mypt.format.storage.lock import bundle_lock
from mypt.format.storage.recorded_paths import record_value
from mypt.format.storage.save_errors import raising_save_errors
from mypt.format.version import MYPT_VERSION
from mypt.tokenizers.added_tokens import build_from_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mypt.data.prepare.segments import Segment, TextFile
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

    Report = Callable[[int, int], None]
    Notify = Callable[[str], None]

_LOGGER = logging.getLogger("mypt")
TOKENS_PER_SHARD = 10_000_000
_UINT16_IDS = 1 << 16
_SHOWN_DIGITS = 12  # of a digest that people compare


@frozen(kw_only=True)
class Preparation:
    """Settings for preparing a data set of token shards.

    Attributes:
        inputs: Files, folders and "-", the standard input.
        output: Folder of the data set.
        val_inputs: Files and folders that are validated on, so that all of `inputs` is trained on;
            without them, a part of `inputs`.
        tokenization: token_kind of a new tokenizer.
        sections: Options of a new tokenizer, as in `plugins` of a preset.
        vocab_size: Its largest number of tokens, for one that can be trained to a size.
        tokenizer: A tokenizer to use instead of a new one.
        known: What the model says of it that it is of.
        val_fraction: Fraction of the text used for validation, where there are no `val_inputs`; see
            `plan_segments`.
        tokens_per_shard: Number of ids in each shard except the last of a split.
        dtype: Dtype of the ids; "auto" is uint16 if that can hold them, else uint32.
        workers: Number of processes that tokenize; the result does not depend on it.
        no_lock: Whether to go on where the file system has no locks.
        data_source: What reads the inputs; None for what recognises each.
        data_options: Its options.
        part: Which part of the text to tokenize, into a folder for `join_parts`; None for all of
            it.
    """

    inputs: tuple[str, ...] = field(converter=tuple[str, ...])
    output: Path
    val_inputs: tuple[str, ...] = field(default=(), converter=tuple[str, ...])
    tokenization: str = "gpt2"
    sections: Mapping[str, Any] = field(factory=dict)
    vocab_size: int | None = None
    tokenizer: Tokenizer | None = None
    known: TokenizerState | None = None
    val_fraction: float = 0.1
    tokens_per_shard: int = TOKENS_PER_SHARD
    dtype: Literal["auto", "uint16", "uint32"] = "auto"
    workers: int = 1
    no_lock: bool = False
    data_source: str | None = None
    data_options: Mapping[str, Any] = field(factory=dict)
    part: Part | None = None

    @property
    def new_tokenizer(self) -> NewTokenizer:
        """What to train where there is no tokenizer yet."""
        return NewTokenizer(self.tokenization, sections=self.sections, vocab_size=self.vocab_size)


def prepare(
    wanted: Preparation,
    plugins: Plugins,
    report: Report = lambda _, __: None,
    notify: Notify = lambda _: None,
) -> bool:
    """Tokenize texts into a data set, or resume a preparation that was interrupted.

    Each document is encoded on its own, so that no token spans two. If it is killed at any
    instant and called again, the files are those of an uninterrupted preparation, byte for byte,
    except for the times in the metadata.

    Args:
        wanted: What to prepare.
        plugins: Where the tokenizer is looked up.
        report: Called after each piece of text with the bytes done and the bytes in total.
        notify: Called with a line that says what a part holds, before it is tokenized.

    Returns:
        Whether there was anything to do.

    Raises:
        DataError: A text is unusable, or the folder already holds something else.
        LockedError: Another process is preparing it.
        SaveError: It could not be written, or its file system has no locks. Whole shards stay, to
            go on after; without one, nothing does.
    """
    folder = wanted.output
    with (
        _make_folder(folder),
        _lock(wanted),
        _removing_unfinished(folder),
        _removing_stdin(folder),
    ):
        choice = SourceChoice.of(plugins, wanted.data_source, wanted.data_options)
        sources = list_text_files((*wanted.inputs, *wanted.val_inputs), folder, choice)
        train = sources[: len(resolve_inputs(wanted.inputs, choice))]
        val = sources[len(train) :]
        settings = _collect_settings(wanted, sources, val, plugins)
        if _is_done(wanted, settings):
            return False
        segments = assign_segments(train, val) if val else plan_segments(train, wanted.val_fraction)
        _check_splits(segments, wanted)
        _tokenize(wanted, plugins, _Plan(settings, sources, segments), report, notify)
        _remove_leftovers(folder)
    return True


@frozen
class _Plan:
    """What a preparation is made of.

    Attributes:
        settings: What the result depends on.
        sources: All files.
        segments: How they are divided, in the order of the ids.
    """

    settings: Mapping[str, Any]
    sources: Sequence[TextFile]
    segments: Sequence[Segment]


def _tokenize(
    wanted: Preparation, plugins: Plugins, plan: _Plan, report: Report, notify: Notify
) -> None:
    """Write the shards of a data set or of a part, and then what makes it complete."""
    folder, settings = wanted.output, _settings_of_folder(wanted, plan.settings)
    if wanted.part is not None:  # which one version begins and ends, as its record says
        settings["mypt_version"] = MYPT_VERSION
    first, after = _find_range(wanted, plan, notify)
    segments = plan.segments[first:after]
    progress = load_progress(folder, settings) or _begin_progress(folder, settings)
    tokenizer = _prepare_tokenizer(wanted, plugins, plan.segments)
    dtype = _choose_dtype(wanted, tokenizer)
    cut, encoder = find_cut_function(tokenizer), DocumentEncoder.of(tokenizer)
    place, by_newlines = progress.position.piece, encoder.end_id is None
    pieces = read_pieces(segments, cut, *place, by_newlines=by_newlines)
    sharder = ShardFiller(folder, dtype, wanted.tokens_per_shard, segments, progress)
    how = encoder, folder, wanted.workers, plugins.disabled
    with sharder:
        for piece, ids in encode_pieces(pieces, *how):
            report(*sharder.add(piece, ids))
    about, files = _describe(wanted, plan, tokenizer, dtype), sharder.progress.files
    if wanted.part is None:
        document = describe_shards(folder, files, dtype, about)
        write_atomically(folder / METADATA_FILE, strict_json.dump(document))
        return
    PartRecord(
        mypt_version=MYPT_VERSION,
        part=wanted.part,
        inputs=list_inputs(plan.sources),
        segments_sha256=segments_sha256(plan.segments),
        tokenizer_sha256=digest_file(folder / STATE_FILE, STATE_FILE),
        about=about,
        files=files,
    ).save(folder)


def _find_range(wanted: Preparation, plan: _Plan, notify: Notify) -> tuple[int, int]:
    """Return which segments to tokenize, and say of a part what it is a part of."""
    if wanted.part is None:
        return 0, len(plan.segments)
    first, after = wanted.part.find_range(plan.segments)
    own = sum(segment.size_bytes for segment in plan.segments[first:after])
    total = sum(segment.size_bytes for segment in plan.segments)
    notify(
        f"part {wanted.part}: {own:,} of {format_count(total, 'byte')}, by a list of "
        f"{format_count(len(plan.sources), 'file')} with the digest "
        f"{plan.settings['inputs_sha256'][:_SHOWN_DIGITS]}, which all parts must have"
    )
    return first, after


def _settings_of_folder(wanted: Preparation, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the files of a folder depend on, which may hold a part."""
    return {**settings, "part": None if wanted.part is None else str(wanted.part)}


@contextmanager
def _make_folder(folder: Path) -> Iterator[None]:
    """Make a folder, and remove it again if it stays empty."""
    with raising_save_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def _lock(wanted: Preparation) -> Iterator[None]:
    with ExitStack() as stack:
        with raising_save_errors(wanted.output):
            warning = stack.enter_context(bundle_lock(wanted.output, no_lock=wanted.no_lock))
        if warning is not None:
            _LOGGER.warning("%s", warning)
        yield


@contextmanager
def _removing_unfinished(folder: Path) -> Iterator[None]:
    """After an error of the disk, leave the whole shards, or nothing where there is none."""
    try:
        yield
    except SaveError:
        with suppress(OSError):
            is_ours = is_present(folder / PROGRESS_FILE)
            _remove_partials(folder)
            if is_ours and not any(folder.glob("*/*.bin")):
                for name in (PROGRESS_FILE, STATE_FILE):
                    (folder / name).unlink(missing_ok=True)
                for split in ("train", "val"):
                    if is_folder(folder / split):
                        (folder / split).rmdir()
        raise


@contextmanager
def _removing_stdin(folder: Path) -> Iterator[None]:
    """Remove the standard input that was saved, however this ends: another call reads it anew."""
    try:
        yield
    finally:
        for path in (folder / STDIN_FILE, partial_path(folder / STDIN_FILE)):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _collect_settings(
    wanted: Preparation, sources: Sequence[TextFile], val: Sequence[TextFile], plugins: Plugins
) -> dict[str, Any]:
    """Return the settings that the result depends on.

    Args:
        wanted: What to prepare.
        sources: All files.
        val: Those of them that were named to be validated on.
        plugins: Where the tokenizer is looked up.
    """
    given, options = wanted.tokenizer, dict[str, Any]()
    if given is None:
        options = wanted.new_tokenizer.options(plugins)
    tokenizer_sha256 = None
    if given is not None:
        tokenizer_sha256 = hashlib.sha256(strict_json.dump(given.state())).hexdigest()
    return {
        "inputs_sha256": inputs_sha256(sources),
        "val_inputs_sha256": inputs_sha256(val) if val else None,
        "tokenization": wanted.new_tokenizer.token_kind if given is None else given.token_kind,
        "tokenizer_options": options or None,
        "tokenizer_sha256": tokenizer_sha256,
        "val_fraction": wanted.val_fraction,
        "tokens_per_shard": wanted.tokens_per_shard,
        "wanted_dtype": wanted.dtype,
        "data_source": wanted.data_source,
        "data_options": dict(wanted.data_options) or None,
    }


def _is_done(wanted: Preparation, settings: dict[str, Any]) -> bool:
    folder = wanted.output
    record = PartRecord.read(folder)
    if record is not None:
        before = {**record.about["prepared_with"], "part": str(record.part)}
        check_same_settings(folder, before, _settings_of_folder(wanted, settings))
        found = find_changed_files(folder, record.files, checksums=False)
    else:
        metadata = read_metadata(folder)
        if metadata is None:
            return False
        before = metadata.document.get("prepared_with", {})
        check_same_settings(folder, before, _settings_of_folder(wanted, settings))
        found = check_dataset(folder, checksums=False)
    wrong = [problem for problem in found if problem.severity == "error"]
    if wrong:
        raise DataError(*wrong)
    _remove_leftovers(folder)
    return True


def _begin_progress(folder: Path, settings: dict[str, Any]) -> Progress:
    """Start in a folder, which must not hold another data set."""
    others = ("train", "val", STATE_FILE, METADATA_FILE)
    found = next((name for name in others if is_present(folder / name)), None)
    if found is not None:
        what, fix = f"already holds a data set ({found})", "name another folder"
        raise DataError(Problem(str(folder), "", what, fix, kind="data.exists"))
    progress = Progress(settings)
    progress.save(folder)
    return progress


def _prepare_tokenizer(
    wanted: Preparation, plugins: Plugins, segments: Sequence[Segment]
) -> Tokenizer:
    """Return the tokenizer, saving its state in the folder if it is not there yet."""
    path = wanted.output / STATE_FILE
    if is_present(path):
        state = read_tokenizer_state(wanted.output)
        return build_from_state(state, plugins)
    tokenizer = wanted.tokenizer
    if tokenizer is None:
        texts = (piece.text for piece in read_pieces(segments, cut_anywhere))
        tokenizer = wanted.new_tokenizer.train(texts, plugins)
    state = describe_for_data(tokenizer.state(), wanted.known)
    write_atomically(path, strict_json.dump(state))
    return tokenizer


def _choose_dtype(wanted: Preparation, tokenizer: Tokenizer) -> str:
    fits = tokenizer.n_vocab <= _UINT16_IDS
    if wanted.dtype == "uint16" and not fits:
        what, fix = f"cannot hold {tokenizer.n_vocab} ids", "use uint32"
        raise DataError(Problem("", "dtype", f"uint16 {what}", fix))
    return "<u2" if fits and wanted.dtype != "uint32" else "<u4"


def _check_splits(segments: Sequence[Segment], wanted: Preparation) -> None:
    there = {segment.split for segment in segments}
    needed = {"train"} if wanted.val_fraction < 1 or wanted.val_inputs else set()
    needed |= {"val"} if wanted.val_fraction > 0 or wanted.val_inputs else set()
    if needed - there:
        what = f"there is no text left for: {', '.join(sorted(needed - there))}"
        fix = "provide more text, or change val_fraction"
        raise DataError(Problem(", ".join(wanted.inputs), "", what, fix, kind="data.text"))


def _describe(wanted: Preparation, plan: _Plan, tokenizer: Tokenizer, dtype: str) -> dict[str, Any]:
    """Return what the metadata say of all the text, whichever part of it is tokenized here."""
    return {
        "tokens_per_shard": wanted.tokens_per_shard,
        "val_fraction": _find_val_fraction(wanted, plan.segments),
        "tokenization": tokenizer.token_kind,
        "vocab_size": tokenizer.vocab_size,
        "dtype": DTYPES[dtype],
        "input_files": record_value(wanted.inputs),
        **({"val_files": record_value(wanted.val_inputs)} if wanted.val_inputs else {}),
        "prepared_with": dict(plan.settings),
    }


def _find_val_fraction(wanted: Preparation, segments: Sequence[Segment]) -> float:
    """Return the fraction for validation: what was asked for, or what the named files have."""
    if not wanted.val_inputs:
        return wanted.val_fraction
    val = sum(segment.size_bytes for segment in segments if segment.split == "val")
    return round(val / sum(segment.size_bytes for segment in segments), 6)


def _remove_leftovers(folder: Path) -> None:
    (folder / PROGRESS_FILE).unlink(missing_ok=True)
    _remove_partials(folder)


def _remove_partials(folder: Path) -> None:
    for path in (*folder.glob(f".*{PARTIAL}"), *folder.glob(f"*/*{PARTIAL}")):
        path.unlink()
