"""Prepare a data set of preferences: pairs of answers, and how likely a model has each."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from mypt.data.batches.episodes import EpisodeSource
from mypt.data.batches.preferences import PreferenceSource
from mypt.data.batches.tokens import sha256_of
from mypt.data.dataset import REFERENCE_FILE, read_episodes
from mypt.data.input_files import resolve_inputs
from mypt.data.metadata import METADATA_FILE, DataFile
from mypt.data.prepare.chats.lines import read_object_lines
from mypt.data.prepare.chats.new_dataset import (
    check_absent,
    describe_splits,
    find_val_limit,
    new_folder,
    write_tokenizer,
)
from mypt.data.prepare.chats.pairs import read_pair
from mypt.data.prepare.chats.split_writer import SplitWriter, write_file
from mypt.data.prepare.chats.vocabulary import make_renderer
from mypt.format.errors import ConfigError, DataError, Problem, limit_problems
from mypt.format.schema import strict_json
from mypt.format.storage import files
from mypt.format.storage.recorded_paths import record_path, record_value
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mypt.data.prepare.chats.rendering import RenderedChat, Renderer
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

SCHEMA = "preference_pairs_v1"


@frozen(kw_only=True)
class PreferencePreparation:
    """Settings for preparing a data set of preferences.

    Attributes:
        inputs: JSONL files, or folders of them.
        output: Folder of the data set, which must be absent or empty.
        tokenizer: That of the model that training will begin with.
        model: Its name, for who reads the data set.
        model_sha256: Its digest, as a run records that of the model it begins with.
        measure: Returns the log-likelihood that it gives the targets of each episode, in nats,
            (E,) float32.
        block_size: T; pairs with an answer of more than T + 1 tokens are left out.
        chat_template: As of `ChatPreparation`.
        val_fraction: Fraction of the pairs used for validation, above 0 and below 1.
    """

    inputs: tuple[str, ...] = field(converter=tuple[str, ...])
    output: Path
    tokenizer: Tokenizer
    model: str
    model_sha256: str
    measure: Callable[[EpisodeSource], NDArray[np.float32]]
    block_size: int
    chat_template: str | None = None
    val_fraction: float = 0.1


@frozen
class _RenderedPair:
    """The tokens of a pair."""

    chosen: RenderedChat
    rejected: RenderedChat

    @property
    def digest(self) -> bytes:
        """8 bytes that are equal for equal prompts."""
        begin = int(np.flatnonzero(self.chosen.weights)[0])
        return hashlib.sha256(self.chosen.ids[:begin].tobytes()).digest()[:8]


def prepare_preferences(wanted: PreferencePreparation, plugins: Plugins) -> dict[str, Any]:
    """Write pairs of answers as episodes with a loss mask: all of them, or none.

    Pairs with the lowest digests of their prompts are used for validation, so that all pairs of a
    prompt are in one split.

    Returns:
        The metadata.

    Raises:
        DataError: Lines are unusable (reported by file and line), there are too few pairs that fit
            into a row, or the folder is not empty.
        ConfigError: There is no such chat template, or the model lacks a token that it needs.
        SaveError: It could not be written; nothing is left behind.
    """
    check_absent(wanted.output)
    renderer = make_renderer(wanted.tokenizer, wanted.chat_template, plugins)
    if renderer.template.tokenizer.n_vocab != wanted.tokenizer.n_vocab:
        what = "needs special tokens that the model does not have"
        fix = "tune it on conversations first: mypt data chats"
        raise ConfigError(Problem("", "chat_template", what, fix, kind="chat.tokens"))
    pairs, left_out = _render_all(wanted, renderer)
    limit = _find_val_limit(pairs, wanted)
    with new_folder(wanted.output) as folder:
        return _write_dataset(folder, wanted, renderer, pairs, limit, left_out)


def _render_all(
    wanted: PreferencePreparation, renderer: Renderer
) -> tuple[Sequence[_RenderedPair], int]:
    """Return the pairs that fit into a row, and the number of those that do not."""
    problems: list[Problem] = []
    rendered: list[_RenderedPair] = []
    left_out = 0
    paths = [file.path for file in resolve_inputs(wanted.inputs)]
    for line in read_object_lines(paths):
        if isinstance(line, Problem):
            problems.append(line)
            continue
        try:
            pair = read_pair(line.fields)
            both = renderer.render(pair.chosen), renderer.render(pair.rejected)
        except DataError as error:
            problems.append(line.locate(error))
            continue
        if max(map(len, both)) > wanted.block_size + 1:
            left_out += 1
        else:
            rendered.append(_RenderedPair(*both))
    if problems:
        raise DataError(*limit_problems(problems))
    return rendered, left_out


def _find_val_limit(pairs: Sequence[_RenderedPair], wanted: PreferencePreparation) -> bytes:
    """Return the highest digest that belongs to the validation split.

    Raises:
        DataError: There are not two different prompts.
    """
    digests = {pair.digest for pair in pairs}
    if len(digests) < 2:
        what = f"has {len(digests)} prompts whose answers fit into block_size {wanted.block_size}"
        fix = "name files with pairs for at least 2 different prompts"
        where = ", ".join(wanted.inputs)
        raise DataError(Problem(where, "", what, fix, kind="data.preferences"))
    return find_val_limit(digests, wanted.val_fraction)


def _write_dataset(
    folder: Path,
    wanted: PreferencePreparation,
    renderer: Renderer,
    pairs: Sequence[_RenderedPair],
    limit: bytes,
    left_out: int,
) -> dict[str, Any]:
    tokenizer = renderer.template.tokenizer
    write_tokenizer(folder, tokenizer)
    with SplitWriter(folder, "train") as train, SplitWriter(folder, "val") as val:
        for pair in pairs:
            split = val if pair.digest <= limit else train
            split.add(pair.chosen)
            split.add(pair.rejected)
    references = [*_write_references(folder, wanted)]
    sources = {
        split: PreferenceSource(EpisodeSource(parts))
        for split, parts in read_episodes(folder).items()
    }
    described = [*train.describe_files(), *val.describe_files(), *references]
    document = {
        "format_version": FORMAT_VERSION,
        "schema": SCHEMA,
        **describe_splits(train, val, tokenizer, wanted.val_fraction),
        "input_files": record_value(wanted.inputs),
        "reference": {"model": record_path(wanted.model), "sha256": wanted.model_sha256},
        "pairs_left_out": left_out,
        "data_sha256": sha256_of(sources.values()),
        "files": [file.document() for file in described],
    }
    write_file(folder / METADATA_FILE, strict_json.dump(document))
    return document


def _write_references(folder: Path, wanted: PreferencePreparation) -> Iterator[DataFile]:
    """Write how likely the model has the answers of each split, and yield the files."""
    for split, parts in read_episodes(folder).items():
        path = folder / split / REFERENCE_FILE
        write_file(path, wanted.measure(EpisodeSource(parts)).astype("<f4").tobytes())
        found = path.stat()
        yield DataFile(
            name=f"{split}/{REFERENCE_FILE}",
            size_bytes=found.st_size,
            sha256=files.digest_file(path, REFERENCE_FILE),
            mtime_ns=found.st_mtime_ns,
        )
