"""Draw batches from a text or a data set, as a function of seed and step."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mypt.data.batches.contents import Contents, mix, open_dataset, read_text, validate_on
from mypt.data.randomness import Purpose, uniform
from mypt.data.text import InputText
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import DataFingerprint
from mypt.format.errors import ConfigError, Problem
from mypt.format.rules.arguments import (
    FLAG,
    PATH,
    TEXT,
    Rule,
    checked,
    instance_of,
    number_where,
    one_of,
    optional,
    sequence_of,
    whole_number,
)
from mypt.plugins.contracts.tokenizer import TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mypt.data.batches.batch import Batch, BatchSource
    from mypt.data.batches.contents import HeldOut
    from mypt.plugins.contracts.tokenizer import Tokenizer

Split = Literal["train", "val"]
WindowSampling = Literal["random", "epoch"]
_ALL = slice(None)
_TEXT = instance_of("a string", str, InputText)
_UINT64 = whole_number(0, below=2**64)
_SHARE = number_where(lambda share: 0 < share < float("inf"), "a number above 0")


def _convert_pair(given: Any) -> tuple[GPTDataLoader, float]:
    loader, share = given
    if not isinstance(loader, GPTDataLoader):
        raise TypeError
    return loader, _SHARE.convert(share)


_MIXTURE = sequence_of(
    Rule("a loader and its share", _convert_pair),
    "GPTDataLoaders with their shares, such as [(code, 0.7), (prose, 0.3)]",
)


class GPTDataLoader:
    """Source of a model's batches.

    Attributes:
        config: Holds `batch_size` and `block_size`.
        tokenizer: The tokenizer that the ids belong to.
        contents: The data.
        sampling: How training windows are drawn: "random" or "epoch".
    """

    @checked(
        config=instance_of("a GPTConfig", GPTConfig),
        tokenizer=TOKENIZER,
        text=optional(_TEXT),
        dataset_dir=optional(PATH),
        val_text=optional(_TEXT),
        mixture=optional(_MIXTURE),
        eval_only=FLAG,
        source=optional(TEXT),
        sampling=one_of(*get_args(WindowSampling)),
        packing=FLAG,
    )
    def __init__(
        self,
        config: GPTConfig,
        tokenizer: Tokenizer,
        *,
        text: str | InputText | None = None,
        dataset_dir: str | Path | None = None,
        val_text: str | InputText | None = None,
        mixture: Sequence[tuple[GPTDataLoader, float]] | None = None,
        eval_only: bool = False,
        source: str | None = None,
        sampling: WindowSampling = "random",
        packing: bool = False,
    ) -> None:
        """Tokenize a text, open a prepared data set, or mix several loaders.

        Opening a data set takes no pass over the tokens if its files match its metadata.

        Args:
            config: Holds `batch_size`, `block_size` and `vocab_size`.
            tokenizer: Encodes `text`; a data set must have been prepared with an equal one.
            text: The first nine tenths are used for training, the rest for validation. The ids
                take a byte each where the vocabulary allows, or two, or four. Between documents is
                the id of `<|endoftext|>` where the tokenizer has it, or else a newline.
            dataset_dir: Folder of token shards or of episodes, instead of `text`.
            val_text: What is validated on; all of `text` is trained on then, and the validation
                split of `dataset_dir` is not used.
            mixture: Loaders of the same config and tokenizer, instead of `text`, each with its
                share of the windows, above 0; only the ratios of shares count. Each window of a
                batch comes from one of them, by chance or in turns; so do those that are validated
                on, from the validation splits.
            eval_only: Use everything for validation.
            source: Name of the data in the fingerprint; by default the folder.
            sampling: "random" draws training windows anywhere, with replacement; "epoch" takes
                each window that begins at a multiple of `block_size` once before any is repeated,
                in a new order in each epoch; see `train_batch`. With episodes, both take whole
                episodes. Each source of a mixture has epochs of its own then, and its share of each
                4096 windows in a row, rounded, of which it has at least one.
            packing: Put as many whole episodes of `dataset_dir` into a row as fit, none of which
                sees another; their batches have `segments`. A loader of `mixture` has its own.

        Raises:
            DataError: There is too little data, or it was prepared with another tokenizer, or no
                episode of a split has a target in its last `block_size` tokens.
            ConfigError: An argument is of another type or out of range, or not exactly one of
                `text`, `dataset_dir` and `mixture` is given, or arguments contradict each other,
                or there are no episodes to pack.
        """
        _check_kinds(
            {"text": text, "dataset_dir": dataset_dir, "mixture": mixture or None},
            {"val_text": val_text, "eval_only": eval_only or None},
        )
        name = source or _name_source(text, dataset_dir)
        if mixture:
            _check_alike(config, tokenizer, [loader for loader, _ in mixture])
            parts = [loader.contents for loader, _ in mixture]
            contents = mix(parts, [share for _, share in mixture], source)
        elif dataset_dir is not None:
            contents = open_dataset(
                dataset_dir, tokenizer, config, name, eval_only=eval_only, packing=packing
            )
        else:
            held_out: HeldOut = "all" if eval_only else "tenth" if val_text is None else "none"
            contents = read_text(text or "", tokenizer, config, name, held_out)
        if val_text is not None:
            other = _name_source(val_text, None, "the validation text")
            contents = validate_on(contents, read_text(val_text, tokenizer, config, other, "all"))
        if packing and not contents.is_packed:
            raise make_packing_error(name)
        self.config = config
        self.tokenizer = tokenizer
        self.contents: Contents = contents
        self.sampling: WindowSampling = sampling

    @property
    def splits(self) -> Mapping[str, BatchSource]:
        """The data by split: "train" and "val", or "val" alone."""
        return self.contents.splits

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
        """Bytes of memory that the ids of texts take; those of a data set are mapped."""
        return self.contents.held_bytes

    @property
    def left_out(self) -> list[str]:
        """What is not learnt from or measured, a line each.

        These are documents without text, episodes without a target in a row, and shards that are
        too short for one.
        """
        return list(self.contents.explain_left_out(self.config.block_size))

    @property
    def packing(self) -> bool:
        """Whether several episodes share a row."""
        return self.contents.is_packed

    @property
    def packed(self) -> list[str]:
        """How episodes share rows, a line for each split that has some; empty without packing."""
        return list(self.contents.explain_packing(self.config.block_size))

    @cached_property
    def fingerprint(self) -> DataFingerprint:
        """Identity of the data, so that a resumed run can detect a change."""
        return DataFingerprint(
            source=self.contents.source,
            sha256=self.contents.digest(),
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
            otherwise. Where episodes are packed, their segments as well. The model's loss of it is
            `model.loss(batch.x, batch.y, batch.mask, segments=batch.segments)`.

        Raises:
            ConfigError: An argument is of another type or out of range, all data is for validation,
                or an epoch's second micro step of a step says no `first_window`.
        """
        source, size = self._source_of("train"), self.config.batch_size
        block_size = self.config.block_size
        if self.sampling == "random":
            places = uniform(seed, Purpose.TRAIN_BATCH, step, micro_step, size)[rows]
            windows = source.pick(places, block_size)
        else:
            if first_window is None:
                first_window = _first_window_at(step, micro_step, size)
            numbers = np.arange(first_window, first_window + size, dtype=np.int64)[rows]
            windows = source.pick_by_epoch(numbers, block_size, seed)
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
        if "train" not in self.splits:
            purpose = Purpose.EVAL_SET
        else:
            purpose = Purpose.EVAL_TRAIN if split == "train" else Purpose.EVAL_VAL
        source, block_size = self._source_of(split), self.config.block_size
        places = uniform(seed, purpose, index, 0, self.config.batch_size)
        return source.take(source.pick(places, block_size), block_size)

    def _source_of(self, split: Split) -> BatchSource:
        if split not in self.splits:
            what, fix = f"is {split}, but all the data is for validation", "make eval_only False"
            raise ConfigError(Problem("", "split", what, fix, kind="argument"))
        return self.splits[split]


def load_contents(
    config: GPTConfig, tokenizer: Tokenizer, contents: Contents, sampling: WindowSampling
) -> GPTDataLoader:
    """Return a loader of what was read before.

    Args:
        config: Holds `batch_size` and `block_size`.
        tokenizer: The tokenizer that the ids belong to.
        contents: The data.
        sampling: As `GPTDataLoader` takes it.
    """
    loader = GPTDataLoader.__new__(GPTDataLoader)
    loader.config, loader.tokenizer = config, tokenizer
    loader.contents, loader.sampling = contents, sampling
    return loader


def make_packing_error(source: str) -> ConfigError:
    """Return the error of a run that packs what are no episodes.

    Args:
        source: What to call the data.
    """
    what = f"puts several conversations into a row, of which {source} has none"
    fix = "leave it out, or prepare conversations with `mypt data chats`"
    return ConfigError(Problem("", "packing", what, fix, kind="training.packing"))


def _first_window_at(step: int, micro_step: int, batch_size: int) -> int:
    """Return the place in the epochs at a step of a run with one micro step per step."""
    if micro_step > 0:
        what = "is missing: with sampling='epoch', the micro steps of a step need first_window"
        fix = "pass the number of windows drawn before"
        raise ConfigError(Problem("", "first_window", what, fix, kind="argument"))
    return step * batch_size


def _name_source(
    text: str | InputText | None, dataset_dir: str | Path | None, otherwise: str = "the text"
) -> str:
    if isinstance(text, InputText):
        return text.source
    return otherwise if dataset_dir is None else str(dataset_dir)


def _check_kinds(kinds: Mapping[str, object], others: Mapping[str, object]) -> None:
    """Raise unless exactly one kind of data is given, and nothing that contradicts it.

    Raises:
        ConfigError: There is none, or there are two.
    """
    given = [name for name, value in {**kinds, **others}.items() if value is not None]
    named = [name for name in given if name in kinds]
    if not named:
        fix = f"give one of {', '.join(kinds)}"
        raise ConfigError(Problem("", next(iter(kinds)), "is missing", fix, kind="argument"))
    if len(named) > 1:
        what, fix = f"is given together with {named[1]}", f"give one of {', '.join(kinds)}"
        raise ConfigError(Problem("", named[0], what, fix, kind="argument"))
    if len(given) > 2 or (named == ["mixture"] and len(given) > 1):
        what = f"is given together with {given[-2]}"
        fix = "give it to the loaders of the mixture" if "mixture" in named else "give one of them"
        raise ConfigError(Problem("", given[-1], what, fix, kind="argument"))


def _check_alike(config: GPTConfig, tokenizer: Tokenizer, loaders: Sequence[GPTDataLoader]) -> None:
    """Raise if a loader of a mixture is for another model.

    Raises:
        ConfigError: It has windows or ids of another kind.
    """
    for number, loader in enumerate(loaders):
        wanted = config.block_size, config.vocab_size, tokenizer.state()
        found = loader.config.block_size, loader.config.vocab_size, loader.tokenizer.state()
        names = ("block_size", "vocab_size", "tokenizer")
        other = [name for name, a, b in zip(names, wanted, found, strict=True) if a != b]
        if other:
            what, fix = f"has another {' and '.join(other)}", "make it of the same config"
            raise ConfigError(Problem("", f"mixture/{number}", what, fix, kind="argument"))
        if "train" not in loader.splits:
            what, fix = "has nothing to train on", "make its eval_only False"
            raise ConfigError(Problem("", f"mixture/{number}", what, fix, kind="argument"))
