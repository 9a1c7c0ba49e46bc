"""Draw batches from a text or a data set, as a function of seed and step."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mypt.data.batches.episodes import EpisodeSource, check_targets
from mypt.data.batches.permutation import permute
from mypt.data.batches.text_ids import check_ids, encode_documents, encode_text
from mypt.data.batches.tokens import TokenSource, sha256_of
from mypt.data.dataset import (
    check_assumed_tokenizer,
    find_tokenizer_state,
    find_wrong_ids,
    has_episodes,
    list_data_files,
    read_episodes,
    read_shards,
)
from mypt.data.metadata import read_metadata
from mypt.data.randomness import Purpose, integers_below
from mypt.data.text import InputText
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.special_tokens import END_OF_EPISODE, END_OF_TEXT, PADDING
from mypt.format.documents.training import DataFingerprint
from mypt.format.errors import ConfigError, DataError, Problem
from mypt.format.rules.arguments import (
    FLAG,
    PATH,
    TEXT,
    checked,
    instance_of,
    one_of,
    optional,
    whole_number,
)
from mypt.format.rules.requirements import REQUIRES, list_features
from mypt.plugins.contracts import TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mypt.data.batches.batch import Batch, BatchSource
    from mypt.data.batches.text_ids import Ids
    from mypt.data.metadata import Metadata
    from mypt.plugins.contracts import Tokenizer

Split = Literal["train", "val"]
WindowSampling = Literal["random", "epoch"]
_ALL = slice(None)
_TEXT = instance_of("a string", str, InputText)
_UINT64 = whole_number(0, below=2**64)
# Candidates for padding short episodes: never a target, and no earlier token attends to it.
_PADDING = (PADDING, END_OF_EPISODE, END_OF_TEXT)


class GPTDataLoader:
    """Source of a model's batches.

    Attributes:
        config: Holds `batch_size` and `block_size`.
        tokenizer: The tokenizer that the ids belong to.
        splits: The data by split: "train" and "val", or "val" alone.
        sampling: How training windows are drawn: "random" or "epoch".
    """

    @checked(
        config=instance_of("a GPTConfig", GPTConfig),
        tokenizer=TOKENIZER,
        text=optional(_TEXT),
        dataset_dir=optional(PATH),
        eval_only=FLAG,
        source=optional(TEXT),
        sampling=one_of(*get_args(WindowSampling)),
    )
    def __init__(
        self,
        config: GPTConfig,
        tokenizer: Tokenizer,
        *,
        text: str | InputText | None = None,
        dataset_dir: str | Path | None = None,
        eval_only: bool = False,
        source: str | None = None,
        sampling: WindowSampling = "random",
    ) -> None:
        """Tokenize a text, or open a prepared data set.

        Opening a data set takes no pass over the tokens if its files match its metadata.

        Args:
            config: Holds `batch_size`, `block_size` and `vocab_size`.
            tokenizer: Encodes `text`; a data set must have been prepared with an equal one.
            text: The first nine tenths are used for training, the rest for validation. The ids
                take a byte each where the vocabulary allows, or two, or four. Between documents is
                the id of `<|endoftext|>` where the tokenizer has it, or else a newline.
            dataset_dir: Folder of token shards or of episodes, instead of `text`.
            eval_only: Use everything for validation.
            source: Name of the data in the fingerprint; by default the folder.
            sampling: "random" draws training windows anywhere, with replacement; "epoch" takes
                each window that begins at a multiple of `block_size` once before any is repeated,
                in a new order in each epoch; see `train_batch`. With episodes, both take whole
                episodes.

        Raises:
            DataError: There is too little data, or it was prepared with another tokenizer, or no
                episode of a split has a target in its last `block_size` tokens.
            ConfigError: An argument is of another type or out of range, or not exactly one of
                `text` and `dataset_dir` is given.
        """
        self._source = source or _name_source(text, dataset_dir)
        self._is_text = text is not None
        self._metadata: Metadata | None = None
        self._left_out: list[str] = []
        self.splits: dict[str, BatchSource]
        if text is not None and dataset_dir is None:
            how = tokenizer, config.vocab_size, self._source
            if isinstance(text, str):
                ids = encode_text((text,), *how)
            else:
                ids = encode_documents(text.documents(), *how)
                self._left_out = text.left_out
            self.splits = _split_ids(ids, eval_only=eval_only)
        elif text is None and dataset_dir is not None:
            self.splits = open_splits(dataset_dir, tokenizer, eval_only=eval_only)
            self._files = list_data_files(dataset_dir, eval_only=eval_only)
            self._metadata = _read_current_metadata(Path(dataset_dir), self._files)
            _check_tokenizer(Path(dataset_dir), tokenizer)
        else:
            what = "is given together with dataset_dir" if text is not None else "is missing"
            fix = "give either text or dataset_dir"
            raise ConfigError(Problem("", "text", what, fix, kind="argument"))
        self.config = config
        self.tokenizer = tokenizer
        self._eval_only = eval_only
        self.sampling: WindowSampling = sampling
        check_targets(_episodes_of(self.splits), config.block_size, self._source)
        _check_length(self.splits, config.block_size, self._source)
        highest = self._highest_id()
        if dataset_dir is not None:
            self._check_kind_of_ids(dataset_dir, highest)
        check_ids(highest, config.vocab_size, self._source)

    @property
    def train_tokens(self) -> int:
        """Number of tokens that training can draw, in windows of `block_size`."""
        if "train" not in self.splits:
            return 0
        by_blocks = self.sampling == "epoch"
        return self.splits["train"].reach(self.config.block_size, by_blocks=by_blocks)

    @property
    def windows_per_epoch(self) -> int:
        """Number of windows that an epoch takes once, 0 for an evaluation set."""
        if "train" not in self.splits:
            return 0
        return self.splits["train"].blocks(self.config.block_size)

    @property
    def val_tokens(self) -> int:
        """Number of tokens that validation can draw, in windows of `block_size`."""
        return self.splits["val"].reach(self.config.block_size)

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that the ids of a text take; 0 for a data set, which is mapped."""
        sources = [s for s in self.splits.values() if self._is_text and isinstance(s, TokenSource)]
        return sum(shard.nbytes for source in sources for shard in source.shards)

    @property
    def left_out(self) -> list[str]:
        """What is not learnt from or measured, a line each.

        These are documents without text, episodes without a target in a row, and shards that are
        too short for one.
        """
        return [
            *self._left_out,
            *(
                f"{self._source} {name} {why}, which are left out"
                for name, source in self.splits.items()
                if (why := source.explain_left_out(self.config.block_size)) is not None
            ),
        ]

    @cached_property
    def fingerprint(self) -> DataFingerprint:
        """Identity of the data, so that a resumed run can detect a change."""
        known = None if self._metadata is None else self._metadata.data_sha256
        return DataFingerprint(
            source=self._source,
            sha256=known
            if known is not None and not self._eval_only
            else sha256_of(self.splits.values()),
            train_tokens=self.train_tokens,
            val_tokens=self.val_tokens,
        )

    @checked(
        seed=_UINT64,
        step=_UINT64,
        micro_step=_UINT64,
        first_window=optional(whole_number(0, below=2**63)),
        rows=instance_of("a slice", slice),
    )
    def train_batch(
        self,
        seed: int,
        step: int,
        micro_step: int,
        *,
        first_window: int | None = None,
        rows: slice = _ALL,
    ) -> Batch:
        """Return the batch of one micro step.

        Args:
            seed: Seed of the run.
            step: Number of optimizer updates done so far.
            micro_step: Number of micro steps done in this step.
            first_window: Place of the first row in the endless sequence of epochs, which is the
                number of windows drawn before; "random" needs none. By default that of a run with
                one micro step per step and one batch size throughout.
            rows: The rows of the batch to make; the others are still drawn.

        Returns:
            x and y, (batch_size, block_size) int64 on the CPU; y is x shifted by one token. With
            episodes also their mask, of the same shape, float32, the weight of each target; None
            otherwise. The model's loss of it is `model.loss(batch.x, batch.y, batch.mask)`.

        Raises:
            ConfigError: An argument is of another type or out of range, all data is for validation,
                or an epoch's second micro step of a step says no `first_window`.
        """
        source, size = self._source_of("train"), self.config.batch_size
        block_size = self.config.block_size
        if self.sampling == "random":
            place = (seed, Purpose.TRAIN_BATCH, step, micro_step)
            windows = integers_below(source.windows(block_size), *place, size)[rows]
        else:
            if first_window is None:
                first_window = _first_window_at(step, micro_step, size)
            places = np.arange(first_window, first_window + size, dtype=np.int64)[rows]
            blocks = _shuffle_epochs(places, source.blocks(block_size), seed)
            windows = source.block_windows(blocks, block_size)
        return source.take(windows, block_size)

    @checked(split=one_of(*get_args(Split)), seed=_UINT64, index=_UINT64)
    def eval_batch(self, split: Split, seed: int, index: int) -> Batch:
        """Return one of the batches of every evaluation, always made of random windows.

        Args:
            split: The split to draw from.
            seed: Seed of the run.
            index: Index of the batch within an evaluation, from 0.

        Returns:
            As `train_batch`; the same for every call with the same arguments.

        Raises:
            ConfigError: An argument is of another type or out of range, or there is no such split.
        """
        if self._eval_only:
            purpose = Purpose.EVAL_SET
        else:
            purpose = Purpose.EVAL_TRAIN if split == "train" else Purpose.EVAL_VAL
        source, block_size = self._source_of(split), self.config.block_size
        n = source.windows(block_size)
        windows = integers_below(n, seed, purpose, index, 0, self.config.batch_size)
        return source.take(windows, block_size)

    def _source_of(self, split: Split) -> BatchSource:
        if split not in self.splits:
            what, fix = f"is {split}, but all the data is for validation", "make eval_only False"
            raise ConfigError(Problem("", "split", what, fix, kind="argument"))
        return self.splits[split]

    def _highest_id(self) -> int:
        if self._metadata is not None:
            return self._metadata.highest_id(
                name for names in self._files.values() for name in names
            )
        return max(source.highest_id() for source in self.splits.values())

    def _check_kind_of_ids(self, folder: str | Path, highest: int) -> None:
        """Raise if the ids of a data set are not of the kind that they were read as."""
        check_assumed_tokenizer(folder, self.tokenizer.token_kind, highest)
        vocab_size = min(self.config.vocab_size, self.tokenizer.n_vocab)  # a model may have more
        if highest >= vocab_size:
            problem = find_wrong_ids(folder, vocab_size, eval_only=self._eval_only)
            if problem is not None:
                raise DataError(problem)


def _first_window_at(step: int, micro_step: int, batch_size: int) -> int:
    """Return the place in the epochs at a step of a run with one micro step per step."""
    if micro_step > 0:
        what = "is missing: with sampling='epoch', the micro steps of a step need first_window"
        fix = "pass the number of windows drawn before"
        raise ConfigError(Problem("", "first_window", what, fix, kind="argument"))
    return step * batch_size


def _shuffle_epochs(places: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """Return the items at the given positions of an endless sequence of epochs over n items."""
    epochs = places // n
    things = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        things[here] = permute(places[here] - epoch * n, n, seed, int(epoch))
    return things


def _name_source(text: str | InputText | None, dataset_dir: str | Path | None) -> str:
    if isinstance(text, InputText):
        return text.source
    return "the text" if dataset_dir is None else str(dataset_dir)


def _split_ids(ids: Ids, *, eval_only: bool) -> dict[str, BatchSource]:
    if eval_only:
        return {"val": TokenSource([ids])}
    end = len(ids) * 9 // 10
    return {"train": TokenSource([ids[:end]]), "val": TokenSource([ids[end:]])}


def open_splits(
    folder: str | Path, tokenizer: Tokenizer, *, eval_only: bool
) -> dict[str, BatchSource]:
    """Open the shards or the episodes of a data set, by split.

    Args:
        folder: The data set.
        tokenizer: Its special tokens fill the rows of episodes.
        eval_only: Open only "val", which may then also lie in the folder itself.

    Raises:
        DataError: A file is missing or inconsistent.
    """
    if Path(folder).is_dir() and has_episodes(folder):
        episodes = read_episodes(folder, eval_only=eval_only)
        special = tokenizer.state().get("special_token_encoder") or {}
        pad_id = next((special[text] for text in _PADDING if text in special), 0)
        return {name: EpisodeSource(parts, pad_id) for name, parts in episodes.items()}
    shards = read_shards(folder, eval_only=eval_only)
    return {name: TokenSource(arrays) for name, arrays in shards.items()}


def _read_current_metadata(folder: Path, files: Mapping[str, list[str]]) -> Metadata | None:
    metadata = read_metadata(folder)
    names = [name for there in files.values() for name in there]
    return metadata if metadata is not None and metadata.matches_files(folder, names) else None


def _check_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Raise if the ids mean something else to this tokenizer.

    Only fields that both sides have are compared: MyPT's older tools did not write all of them.
    """
    found = find_tokenizer_state(folder)
    if found is None:
        return
    (file, theirs), ours = found, tokenizer.state()
    fix = "prepare the data with the model's tokenizer, or train a new model on it"
    if list_features(theirs) != list_features(ours):
        what = "is not that of the model's tokenizer, to which these ids mean something else"
        raise DataError(Problem(str(file), f"/{REQUIRES}", what, fix))
    for name in ("token_kind", "chars", "special_token_encoder"):
        if theirs.get(name) and ours.get(name) and theirs[name] != ours[name]:
            what = "differs from the model's, so the ids of this data set mean something else to it"
            raise DataError(Problem(str(file), f"/{name}", what, fix))


def _episodes_of(splits: Mapping[str, BatchSource]) -> dict[str, EpisodeSource]:
    return {name: split for name, split in splits.items() if isinstance(split, EpisodeSource)}


def _check_length(splits: Mapping[str, BatchSource], block_size: int, source: str) -> None:
    if all(split.windows(block_size) > 0 for split in splits.values()):
        return
    longest = {name: split.longest() for name, split in splits.items()}
    shortest = min(longest.values())
    there = ", ".join(f"{length} for {name}" for name, length in longest.items())
    what = f"block_size {block_size} needs {block_size + 1} contiguous tokens; there are {there}"
    fix = "use more text"
    if shortest > 1:
        fix = f"{fix}, or a block_size of at most {shortest - 1}"
    raise DataError(Problem(source, "", what, fix, kind="data.short"))
