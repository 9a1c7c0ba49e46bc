"""Prepare a data set of episodes from conversations."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from attrs import field, frozen

from mypt.data.batches.episodes import EpisodeSource, check_targets
from mypt.data.batches.tokens import sha256_of
from mypt.data.dataset import INDEX_FILE, MASK_FILE, TOKENS_FILE, read_episodes
from mypt.data.input_files import resolve_inputs
from mypt.data.metadata import METADATA_FILE, STATE_FILE, DataFile
from mypt.data.new_tokenizer import NewTokenizer
from mypt.data.prepare.chats.lines import Episode, encode_episode, read_chat_lines
from mypt.data.prepare.chats.template import Template
from mypt.format.documents.vocabulary import describe_for_data
from mypt.format.errors import DataError, Problem, limit_problems
from mypt.format.schema import strict_json
from mypt.format.storage import files
from mypt.format.storage.atomic_file import flush_to_disk
from mypt.format.storage.recorded_paths import record_value
from mypt.format.storage.save_errors import raising_save_errors
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.plugins.contracts import Tokenizer
    from mypt.plugins.manager import Plugins

SCHEMA = "episode_indexed_sft_v1"  # as MyPT named it


@frozen(kw_only=True)
class ChatPreparation:
    """Settings for preparing a data set of episodes.

    Attributes:
        inputs: JSONL files, or folders of them.
        output: Folder of the data set, which must be absent or empty.
        tokenization: token_kind of a new tokenizer.
        sections: Options of a new tokenizer, as in `plugins` of a preset.
        vocab_size: Its largest number of tokens, for one that can be trained to a size.
        tokenizer: A tokenizer to use instead of a new one, as needed for fine-tuning.
        known: What the model says of it that it is of.
        val_fraction: Fraction of the conversations used for validation, above 0 and below 1.
    """

    inputs: tuple[str, ...] = field(converter=tuple[str, ...])
    output: Path
    tokenization: str = "gpt2"
    sections: Mapping[str, Any] = field(factory=dict)
    vocab_size: int | None = None
    tokenizer: Tokenizer | None = None
    known: TokenizerState | None = None
    val_fraction: float = 0.1

    @property
    def new_tokenizer(self) -> NewTokenizer:
        """What to train where there is no tokenizer yet."""
        return NewTokenizer(self.tokenization, sections=self.sections, vocab_size=self.vocab_size)


def prepare_chats(wanted: ChatPreparation, plugins: Plugins) -> dict[str, Any]:
    """Write conversations as episodes with a loss mask: all of them, or none.

    Those with the lowest digests are used for validation, so that a conversation that occurs twice
    is never in both splits.

    Returns:
        The metadata.

    Raises:
        DataError: Lines are unusable (reported by file and line), a split has nothing to learn, or
            the folder is not empty.
        SaveError: It could not be written; nothing is left behind.
    """
    if wanted.output.exists() and (wanted.output.is_file() or any(wanted.output.iterdir())):
        what, fix = "already exists and is not empty", "name another folder"
        raise DataError(Problem(str(wanted.output), "", what, fix, kind="data.exists"))
    paths = [file.path for file in resolve_inputs(wanted.inputs)]
    template = Template.of(wanted.tokenizer)
    limit = _find_val_limit(paths, template, wanted)
    tokenizer = wanted.tokenizer
    if tokenizer is None:
        texts = (s.text for e in _iter_episodes(paths, template) for s in template.spans(e.turns))
        tokenizer = wanted.new_tokenizer.train(texts, plugins)
    folder = wanted.output.with_name(f".{wanted.output.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with raising_save_errors(wanted.output):
            folder.mkdir(parents=True)
            document = _write_dataset(folder, wanted, paths, template, tokenizer, limit)
            if wanted.output.exists():
                wanted.output.rmdir()
            folder.rename(wanted.output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return document


def _iter_episodes(paths: Sequence[Path], template: Template) -> Iterator[Episode]:
    return (one for one in read_chat_lines(paths, template) if isinstance(one, Episode))


def _find_val_limit(paths: Sequence[Path], template: Template, wanted: ChatPreparation) -> bytes:
    """Check every line, and return the highest digest that belongs to the validation split."""
    found = list(_iter_digests(paths, template))
    problems = [one for one in found if isinstance(one, Problem)]
    if problems:
        raise DataError(*limit_problems(problems))
    digests = sorted(one for one in set(found) if isinstance(one, bytes))
    if len(digests) < 2:
        what = f"at least 2 different conversations are needed; there are {len(digests)}"
        fix = "name files with more conversations"
        raise DataError(Problem(", ".join(wanted.inputs), "", what, fix))
    count = min(max(round(wanted.val_fraction * len(digests)), 1), len(digests) - 1)
    return digests[count - 1]


def _iter_digests(paths: Sequence[Path], template: Template) -> Iterator[bytes | Problem]:
    for one in read_chat_lines(paths, template):
        yield one if isinstance(one, Problem) else one.digest


def _write_dataset(
    folder: Path,
    wanted: ChatPreparation,
    paths: Sequence[Path],
    template: Template,
    tokenizer: Tokenizer,
    limit: bytes,
) -> dict[str, Any]:
    state = describe_for_data(tokenizer.state(), wanted.known)
    state |= {"chat_template": template.to_jinja()}
    _write_file(folder / STATE_FILE, strict_json.dump(state))
    with _SplitWriter(folder, "train") as train, _SplitWriter(folder, "val") as val:
        for episode in _iter_episodes(paths, template):
            writer = val if episode.digest <= limit else train
            writer.add(*encode_episode(episode, template, tokenizer))
    sources = {split: EpisodeSource(parts) for split, parts in read_episodes(folder).items()}
    check_targets(sources, None, ", ".join(wanted.inputs))
    described = [*train.describe_files(), *val.describe_files()]
    document = {
        "format_version": FORMAT_VERSION,
        "schema": SCHEMA,
        "total_tokens": train.tokens + val.tokens,
        "train_tokens": train.tokens,
        "train_episodes": train.episodes,
        "val_episodes": val.episodes,
        "val_fraction": wanted.val_fraction,
        "tokenization": tokenizer.token_kind,
        "vocab_size": tokenizer.vocab_size,
        "dtype": "uint32",
        "input_files": record_value(wanted.inputs),
        "data_sha256": sha256_of(sources.values()),
        "files": [file.document() for file in described],
    }
    _write_file(folder / METADATA_FILE, strict_json.dump(document))
    return document


def _write_file(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        flush_to_disk(stream)


class _SplitWriter:
    """Writes the files of one split.

    Attributes:
        tokens: Number of ids so far.
        episodes: Number of episodes so far.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self._folder = folder / split
        self._folder.mkdir()
        names = (TOKENS_FILE, MASK_FILE, INDEX_FILE)
        self._streams = {name: (self._folder / name).open("wb") for name in names}
        self._highest = 0
        self.tokens = self.episodes = 0

    def add(self, ids: NDArray[np.uint32], mask: NDArray[np.uint8]) -> None:
        span = np.array([self.tokens, len(ids)], "<u8")
        parts = {TOKENS_FILE: ids.astype("<u4"), MASK_FILE: mask, INDEX_FILE: span}
        for name, part in parts.items():
            self._streams[name].write(part.tobytes())
        self._highest = max(self._highest, int(ids.max()))
        self.tokens += len(ids)
        self.episodes += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:  # closes all of them, also where one cannot be written
            for stream in self._streams.values():
                stack.enter_context(stream)
            for stream in self._streams.values():
                flush_to_disk(stream)

    def describe_files(self) -> Iterator[DataFile]:
        for name in self._streams:
            path = self._folder / name
            found = path.stat()
            has_ids = name == TOKENS_FILE
            yield DataFile(
                name=f"{self._folder.name}/{name}",
                size_bytes=found.st_size,
                sha256=files.digest_file(path, name),
                mtime_ns=found.st_mtime_ns,
                tokens=self.tokens if has_ids else None,
                highest_id=self._highest if has_ids else None,
            )
