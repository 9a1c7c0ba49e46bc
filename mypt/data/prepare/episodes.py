"""Prepare a data set of episodes from conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

from mypt.data.batches.episodes import EpisodeSource
from mypt.data.batches.tokens import sha256_of
from mypt.data.dataset import read_episodes
from mypt.data.input_files import resolve_inputs
from mypt.data.metadata import METADATA_FILE
from mypt.data.new_tokenizer import NewTokenizer
from mypt.data.prepare.chats.lines import Episode, read_chat_lines
from mypt.data.prepare.chats.new_dataset import (
    check_absent,
    describe_splits,
    find_val_limit,
    new_folder,
    write_tokenizer,
)
from mypt.data.prepare.chats.split_writer import SplitWriter, write_file
from mypt.data.prepare.chats.statistics import ChatStatistics
from mypt.data.prepare.chats.truncation import FittedChat, fit_chat
from mypt.data.prepare.chats.vocabulary import list_texts, make_renderer
from mypt.format.errors import DataError, Problem, limit_problems
from mypt.format.schema import strict_json
from mypt.format.storage.recorded_paths import record_value
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mypt.data.prepare.chats.rendering import Renderer
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

T = TypeVar("T")
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
        chat_template: Name of a template that ships with mypt, or a file with one in Jinja; by
            default the tokenizer's own, or MyPT's where it has its marks, or the plain one.
        block_size: T; conversations of more than T + 1 tokens are shortened by whole turns. None
            keeps them as they are.
        val_fraction: Fraction of the conversations used for validation, above 0 and below 1.
    """

    inputs: tuple[str, ...] = field(converter=tuple[str, ...])
    output: Path
    tokenization: str = "gpt2"
    sections: Mapping[str, Any] = field(factory=dict)
    vocab_size: int | None = None
    tokenizer: Tokenizer | None = None
    chat_template: str | None = None
    block_size: int | None = None
    val_fraction: float = 0.1

    @property
    def new_tokenizer(self) -> NewTokenizer:
        """What to train where there is no tokenizer yet."""
        return NewTokenizer(self.tokenization, sections=self.sections, vocab_size=self.vocab_size)


def prepare_chats(
    wanted: ChatPreparation,
    plugins: Plugins,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Write conversations as episodes with a loss mask: all of them, or none.

    Those with the lowest digests are used for validation, so that a conversation that occurs twice
    is never in both splits.

    Args:
        wanted: What to prepare.
        plugins: Where tokenizers are looked up.
        report: Called with the number of conversations that are done, and of all.

    Returns:
        The metadata.

    Raises:
        DataError: Lines are unusable (reported by file and line), none of a split fits into a row,
            or the folder is not empty.
        ConfigError: There is no such chat template, or it cannot be used.
        SaveError: It could not be written; nothing is left behind.
    """
    check_absent(wanted.output)
    paths = [file.path for file in resolve_inputs(wanted.inputs)]
    limit, total = _find_val_limit(paths, wanted)
    renderer = _make_renderer(paths, wanted, plugins)
    with new_folder(wanted.output) as folder:
        fitted = _fit_all(paths, wanted, renderer, limit)
        watched = _watch(fitted, lambda done: report(done, total))
        return _write_dataset(folder, wanted, renderer, watched)


def _iter_episodes(paths: Sequence[Path]) -> Iterator[Episode]:
    return (one for one in read_chat_lines(paths) if isinstance(one, Episode))


def _find_val_limit(paths: Sequence[Path], wanted: ChatPreparation) -> tuple[bytes, int]:
    """Check every line, and split the conversations.

    Returns:
        The highest digest that belongs to the validation split, and the number of conversations.
    """
    found = [one if isinstance(one, Problem) else one.digest for one in read_chat_lines(paths)]
    problems = [one for one in found if isinstance(one, Problem)]
    if problems:
        raise DataError(*limit_problems(problems))
    digests = {one for one in found if isinstance(one, bytes)}
    if len(digests) < 2:
        what = f"at least 2 different conversations are needed; there are {len(digests)}"
        fix = "name files with more conversations"
        raise DataError(Problem(", ".join(wanted.inputs), "", what, fix))
    return find_val_limit(digests, wanted.val_fraction), len(found)


def _make_renderer(paths: Sequence[Path], wanted: ChatPreparation, plugins: Plugins) -> Renderer:
    """Return what renders the conversations; a new tokenizer learns all that is rendered."""
    tokenizer = wanted.tokenizer
    if tokenizer is None:
        chats = (episode.chat for episode in _iter_episodes(paths))
        texts = list_texts(chats, wanted.chat_template, plugins)
        tokenizer = wanted.new_tokenizer.train(texts, plugins)
    return make_renderer(tokenizer, wanted.chat_template, plugins)


def _write_dataset(
    folder: Path,
    wanted: ChatPreparation,
    renderer: Renderer,
    chats: Iterable[tuple[bool, FittedChat | None]],
) -> dict[str, Any]:
    tokenizer, counted = renderer.template.tokenizer, ChatStatistics()
    write_tokenizer(folder, tokenizer)
    with SplitWriter(folder, "train") as train, SplitWriter(folder, "val") as val:
        for is_val, fitted in chats:
            counted.add(fitted)
            if fitted is not None:
                (val if is_val else train).add(fitted.rendered)
    _check_splits({"train": train, "val": val}, wanted)
    described = [*train.describe_files(), *val.describe_files()]
    sources = {split: EpisodeSource(parts) for split, parts in read_episodes(folder).items()}
    document = {
        "format_version": FORMAT_VERSION,
        "schema": SCHEMA,
        **describe_splits(train, val, tokenizer, wanted.val_fraction),
        "input_files": record_value(wanted.inputs),
        "conversations": {
            "chat_template": renderer.template.name,
            "block_size": wanted.block_size,
            **counted.to_document(),
        },
        "data_sha256": sha256_of(sources.values()),
        "files": [file.document() for file in described],
    }
    write_file(folder / METADATA_FILE, strict_json.dump(document))
    return document


def _fit_all(
    paths: Sequence[Path], wanted: ChatPreparation, renderer: Renderer, limit: bytes
) -> Iterator[tuple[bool, FittedChat | None]]:
    """Yield for each conversation whether it validates, and what of it fits into a row.

    Raises:
        DataError: Some cannot be rendered.
    """
    size = None if wanted.block_size is None else wanted.block_size + 1
    problems: list[Problem] = []
    for episode in _iter_episodes(paths):
        try:
            fitted = fit_chat(episode.chat, renderer, size)
        except DataError as error:
            problems.append(episode.locate(error))
            continue
        yield episode.digest <= limit, fitted
    if problems:
        raise DataError(*limit_problems(problems))


def _watch(things: Iterable[T], report: Callable[[int], None]) -> Iterator[T]:
    """Yield things, and report how many were there before each."""
    for number, one in enumerate(things):
        report(number)
        yield one


def _check_splits(splits: Mapping[str, SplitWriter], wanted: ChatPreparation) -> None:
    """Raise if no conversation of a split fits into a row.

    Raises:
        DataError: None does.
    """
    for name, split in splits.items():
        if not split.episodes:
            what = f"holds no answer that fits into block_size {wanted.block_size} and a token"
            fix = "use a larger block_size, or shorter conversations"
            raise DataError(Problem(", ".join(wanted.inputs), name, what, fix, kind="data.short"))
