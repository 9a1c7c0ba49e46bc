"""Batches of windows out of a text or a data set, as a function of seed and step."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import evolve

from mypt.data.randomness import Purpose, integers_below
from mypt.data.shards import STATE_FILE, read_shards, read_tokenizer_state
from mypt.data.tokens import TokenSource, sha256_of
from mypt.format.documents import DataFingerprint
from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mypt.format.documents import GPTConfig
    from mypt.plugins.contracts import Tokenizer

Batch = tuple["Tensor", "Tensor"]
Split = Literal["train", "val"]


class GPTDataLoader:
    """Where a model's batches come from.

    Attributes:
        config: Gives `batch_size` and `block_size`.
        tokenizer: What the ids mean.
        splits: The tokens, by split: "train" and "val", or "val" alone.
    """

    def __init__(
        self,
        config: GPTConfig,
        tokenizer: Tokenizer,
        *,
        text: str | None = None,
        dataset_dir: str | Path | None = None,
        eval_only: bool = False,
        source: str | None = None,
    ) -> None:
        """Tokenize a text, or open a prepared data set.

        Args:
            config: Gives `batch_size`, `block_size` and `vocab_size`.
            tokenizer: Encodes `text`; a data set must have been prepared with its like.
            text: Its first nine tenths are trained on, the rest validates.
            dataset_dir: Folder of token shards, instead of `text`.
            eval_only: Take everything for validation.
            source: What to call the data in the fingerprint; by default the folder.

        Raises:
            DataError: There is too little of it, or it was made with another tokenizer.
        """
        self._source = source or ("the text" if dataset_dir is None else str(dataset_dir))
        if text is not None and dataset_dir is None:
            ids = _encode(text, tokenizer, self._source)
            self.splits = _split(ids, eval_only=eval_only)
        elif text is None and dataset_dir is not None:
            shards = read_shards(dataset_dir, eval_only=eval_only)
            self.splits = {name: TokenSource(arrays) for name, arrays in shards.items()}
            _check_tokenizer(Path(dataset_dir), tokenizer)
        else:
            message = "give either text or dataset_dir"
            raise ValueError(message)
        self.config = config
        self.tokenizer = tokenizer
        self._eval_only = eval_only
        _check_length(self.splits, config.block_size, self._source)
        _check_ids(self.splits, config.vocab_size, self._source)

    @property
    def train_tokens(self) -> int:
        """Tokens that are trained on."""
        return len(self.splits["train"]) if "train" in self.splits else 0

    @property
    def val_tokens(self) -> int:
        """Tokens that validate."""
        return len(self.splits["val"])

    @cached_property
    def fingerprint(self) -> DataFingerprint:
        """What the data is, so that a resumed run can tell whether it still is the same."""
        return DataFingerprint(
            source=self._source,
            sha256=sha256_of(self.splits.values()),
            train_tokens=self.train_tokens,
            val_tokens=self.val_tokens,
        )

    def train_batch(self, seed: int, step: int, micro_step: int) -> Batch:
        """Give the batch of one micro step: random windows, drawn with replacement.

        Args:
            seed: Seed of the run.
            step: Optimizer updates done before.
            micro_step: Micro steps done in this step.

        Returns:
            x and y, (batch_size, block_size) int64 on the CPU; y is x shifted by one token.
        """
        return self._batch("train", seed, Purpose.TRAIN_BATCH, step, micro_step)

    def eval_batch(self, split: Split, seed: int, index: int) -> Batch:
        """Give one of the batches that every evaluation measures.

        Args:
            split: Which tokens.
            seed: Seed of the run.
            index: Number of the batch within an evaluation, from 0.

        Returns:
            x and y, (batch_size, block_size) int64 on the CPU, the same at every call.
        """
        if self._eval_only:
            purpose = Purpose.EVAL_SET
        else:
            purpose = Purpose.EVAL_TRAIN if split == "train" else Purpose.EVAL_VAL
        return self._batch(split, seed, purpose, index, 0)

    def _batch(
        self, split: Split, seed: int, purpose: Purpose, step: int, micro_step: int
    ) -> Batch:
        tokens = self.splits[split]
        windows = tokens.windows(self.config.block_size)
        size = self.config.batch_size
        indices = integers_below(windows, seed, purpose, step, micro_step, size)
        return tokens.take(indices, self.config.block_size)


def _encode(text: str, tokenizer: Tokenizer, source: str) -> NDArray[np.uint32]:
    try:
        return tokenizer.encode_array(text)
    except DataError as error:  # which knows the place in the text, but not whose text it is
        problems = [evolve(problem, file=source) for problem in error.problems]
        raise DataError(*problems) from error


def _split(ids: NDArray[np.uint32], *, eval_only: bool) -> dict[str, TokenSource]:
    if eval_only:
        return {"val": TokenSource([ids])}
    end = len(ids) * 9 // 10
    return {"train": TokenSource([ids[:end]]), "val": TokenSource([ids[end:]])}


def _check_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Refuse ids that mean something else to this tokenizer.

    Only what both sides say is compared: MyPT's older tools did not write all fields.
    """
    if not (folder / STATE_FILE).exists():
        return
    theirs, ours = read_tokenizer_state(folder), tokenizer.state()
    for name in ("token_kind", "chars", "special_token_encoder"):
        if theirs.get(name) and ours.get(name) and theirs[name] != ours[name]:
            what = "is not the model's, so the ids of this data set mean something else to it"
            fix = "prepare the data with the model's tokenizer, or train a new model on it"
            raise DataError(Problem(str(folder / STATE_FILE), f"/{name}", what, fix))


def _check_length(splits: Mapping[str, TokenSource], block_size: int, source: str) -> None:
    longest = {name: max(len(shard) for shard in tokens.shards) for name, tokens in splits.items()}
    shortest = min(longest.values())
    if shortest > block_size:
        return
    there = ", ".join(f"{length} for {name}" for name, length in longest.items())
    what = f"block_size {block_size} needs {block_size + 1} tokens in one piece; there are {there}"
    fix = "use more text"
    if shortest > 1:
        fix = f"{fix}, or a block_size of at most {shortest - 1}"
    raise DataError(Problem(source, "", what, fix, kind="data.short"))


def _check_ids(splits: Mapping[str, TokenSource], vocab_size: int, source: str) -> None:
    highest = max(tokens.highest_id() for tokens in splits.values())
    if highest >= vocab_size:
        what = f"holds the id {highest}, but vocab_size is {vocab_size}"
        raise DataError(Problem(source, "", what, "use the tokenizer that the data was made with"))
