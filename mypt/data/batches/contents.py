"""What a loader draws from: a text, a prepared data set, or several of them by shares."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from mypt.chat.special_text import find_special_texts
from mypt.data.batches.episodes import EpisodeSource, check_targets
from mypt.data.batches.mixture import MixtureSource
from mypt.data.batches.packing import PackedEpisodes
from mypt.data.batches.preferences import PreferenceSource, check_pairs, pair_answers
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
from mypt.format.documents.special_tokens import END_OF_EPISODE, END_OF_TEXT, PADDING
from mypt.format.errors import DataError, Problem
from mypt.format.rules.requirements import REQUIRES, list_features
from mypt.format.schema.messages import json_pointer
from mypt.format.storage.files import is_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypt.data.batches.batch import BatchSource
    from mypt.data.batches.text_ids import Ids
    from mypt.data.metadata import Metadata
    from mypt.data.text import InputText
    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.contracts.tokenizer import Tokenizer

# What of a text is held out: its last tenth for validation, nothing, or all of it.
HeldOut = Literal["tenth", "none", "all"]
_SPECIAL = "special_token_encoder"
# Candidates for padding short episodes: never a target, and no earlier token attends to it.
_PADDING = (PADDING, END_OF_EPISODE, END_OF_TEXT)


@frozen(kw_only=True, eq=False)
class Contents:
    """The data of a loader, by split.

    Attributes:
        splits: "train" and "val", or one of them.
        source: Its name.
        parts: What a mixture consists of; empty for a single source.
        held_bytes: Bytes of memory that the ids of texts take; a data set is mapped.
        sha256: Digest of the whole content where it is known without reading it.
        reference_sha256: Digest of the model that preferences are compared with; None where the
            data are no preferences.
        left_out: What is not among the splits, a line each.
    """

    splits: Mapping[str, BatchSource]
    source: str
    parts: tuple[Contents, ...] = ()
    held_bytes: int = 0
    sha256: str | None = None
    reference_sha256: str | None = None
    left_out: tuple[str, ...] = ()

    @property
    def is_packed(self) -> bool:
        """Whether several episodes share a row."""
        is_own = any(isinstance(split, PackedEpisodes) for split in self.splits.values())
        return is_own or any(part.is_packed for part in self.parts)

    def digest(self) -> str:
        """Return the SHA-256 of the content, by which a resumed run detects a change."""
        return self.sha256 or sha256_of(self.splits.values())

    def explain_left_out(self, block_size: int) -> Iterator[str]:
        """Yield what is never drawn, a line each."""
        yield from self.left_out
        for part in self.parts:
            yield from part.explain_left_out(block_size)
        if not self.parts:
            for name, split in self.splits.items():
                why = split.explain_left_out(block_size)
                if why is not None:
                    yield f"{self.source} {name} {why}, which are left out"
                rows = split.source if isinstance(split, PackedEpisodes) else split
                if isinstance(rows, EpisodeSource) and (cut := rows.explain_cut(block_size)):
                    yield f"{self.source} {name} {cut}"

    def explain_packing(self, block_size: int) -> Iterator[str]:
        """Yield how conversations share rows, a line each."""
        for part in self.parts:
            yield from part.explain_packing(block_size)
        for name, split in self.splits.items():
            if isinstance(split, PackedEpisodes):
                yield f"{self.source} {name} {split.explain_packing(block_size)}"


def read_text(
    text: str | InputText,
    tokenizer: Tokenizer,
    config: GPTConfig,
    source: str,
    held_out: HeldOut = "tenth",
) -> Contents:
    """Tokenize a text.

    Args:
        text: The text.
        tokenizer: Encodes it.
        config: Holds `block_size` and `vocab_size`.
        source: Its name.
        held_out: What of it is for validation.

    Raises:
        DataError: It is too short, or has a character that the vocabulary lacks.
    """
    how = tokenizer, config.vocab_size, source
    left_out: Sequence[str] = ()
    if isinstance(text, str):
        ids = encode_text((text,), *how)
    else:
        ids = encode_documents(text.documents(), *how)
        left_out = text.left_out
    splits = _split_ids(ids, held_out)
    check_length(splits, config.block_size, source)
    return Contents(splits=splits, source=source, held_bytes=ids.nbytes, left_out=tuple(left_out))


def open_dataset(
    folder: str | Path,
    tokenizer: Tokenizer,
    config: GPTConfig,
    source: str,
    *,
    eval_only: bool = False,
    packing: bool = False,
) -> Contents:
    """Open a prepared data set; no pass over its tokens if its files match its metadata.

    Args:
        folder: The data set.
        tokenizer: What it must have been prepared with.
        config: Holds `block_size` and `vocab_size`.
        source: Its name.
        eval_only: Open only "val", which may then also lie in the folder itself.
        packing: Whether several episodes share a row; shards have none.

    Raises:
        DataError: A file is missing or inconsistent, there is too little data, it was prepared with
            another tokenizer, or no episode of a split has a target within `block_size`.
    """
    splits = open_splits(folder, tokenizer, eval_only=eval_only)
    files = list_data_files(folder, eval_only=eval_only)
    metadata = _read_current_metadata(Path(folder), files)
    _check_tokenizer(Path(folder), tokenizer)
    check_targets(
        {name: split for name, split in splits.items() if isinstance(split, EpisodeSource)},
        config.block_size,
        source,
    )
    for split in splits.values():
        if isinstance(split, PreferenceSource):
            check_pairs(split, config.block_size, source)
    check_length(splits, config.block_size, source)
    highest = (
        max(split.highest_id() for split in splits.values())
        if metadata is None
        else metadata.highest_id(name for names in files.values() for name in names)
    )
    _check_kind_of_ids(folder, tokenizer, highest, config.vocab_size, eval_only=eval_only)
    check_ids(highest, config.vocab_size, source)
    known = None if metadata is None or eval_only else metadata.data_sha256
    if packing:
        splits = {
            name: PackedEpisodes(split) if isinstance(split, EpisodeSource) else split
            for name, split in splits.items()
        }
    return Contents(
        splits=splits,
        source=source,
        sha256=known,
        reference_sha256=_find_reference(folder, splits, source),
    )


def mix(parts: Sequence[Contents], shares: Sequence[float], source: str | None = None) -> Contents:
    """Put several sources together; their order does not matter.

    Args:
        parts: The sources; a split that one of them lacks the mixture lacks too.
        shares: The share of the windows that each gets, above 0; only their ratios count.
        source: Name of the whole; by default those of the parts.
    """
    _refuse_preferences(parts, "is mixed with other data")
    total = sum(shares)
    pairs = sorted(zip(parts, shares, strict=True), key=lambda pair: (pair[0].digest(), pair[1]))
    ordered, weights = [part for part, _ in pairs], [share for _, share in pairs]
    said = [f"{p.source} ({share / total:.3g})" for p, share in zip(parts, shares, strict=True)]
    known = hashlib.sha256()
    for part, share in pairs:
        known.update(f"{part.digest()} {share / total!r}\n".encode())
    return Contents(
        splits={
            name: MixtureSource([part.splits[name] for part in ordered], weights)
            for name in ("train", "val")
            if all(name in part.splits for part in parts)
        },
        source=source or "a mixture of " + ", ".join(said),
        parts=tuple(parts),
        held_bytes=sum(part.held_bytes for part in parts),
        sha256=known.hexdigest(),
    )


def validate_on(contents: Contents, held_out: Contents) -> Contents:
    """Return data to train on with other data to validate on, in place of their own.

    Args:
        contents: What is trained on.
        held_out: Its "val" is what is validated on.
    """
    _refuse_preferences((contents,), "is validated on other data")
    digests = contents.digest(), held_out.digest()
    unused = [part.source for part in contents.parts or (contents,) if "val" in part.splits]
    return evolve(
        contents,
        splits={"train": contents.splits["train"], "val": held_out.splits["val"]},
        source=f"{contents.source}, validated on {held_out.source}",
        parts=(contents, held_out),
        held_bytes=contents.held_bytes + held_out.held_bytes,
        sha256=hashlib.sha256("".join(digests).encode()).hexdigest(),
        left_out=tuple(
            f"{name} has a validation split, which is not used: {held_out.source} is validated on"
            for name in unused
        ),
    )


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
    if is_folder(Path(folder)) and has_episodes(folder):
        episodes = read_episodes(folder, eval_only=eval_only)
        special = tokenizer.state().get(_SPECIAL) or {}
        pad_id = next((special[text] for text in _PADDING if text in special), 0)
        answers = {name: EpisodeSource(parts, pad_id) for name, parts in episodes.items()}
        return {name: pair_answers(episodes) for name, episodes in answers.items()}
    shards = read_shards(folder, eval_only=eval_only)
    return {name: TokenSource(arrays) for name, arrays in shards.items()}


def check_length(splits: Mapping[str, BatchSource], block_size: int, source: str) -> None:
    """Raise if a split holds no window.

    Raises:
        DataError: One does not.
    """
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


def _find_reference(
    folder: str | Path, splits: Mapping[str, BatchSource], source: str
) -> str | None:
    """Return the digest of the model that the pairs of a data set are compared with.

    Raises:
        DataError: There are pairs, and nobody knows what they are compared with.
    """
    if not any(isinstance(split, PreferenceSource) for split in splits.values()):
        return None
    metadata = read_metadata(folder)
    named = {} if metadata is None else metadata.document.get("reference") or {}
    if "sha256" not in named:
        what = "does not say which model its answers are compared with"
        fix = "prepare it again with `mypt data preferences`"
        raise DataError(Problem(source, "", what, fix, kind="data.preferences"))
    return str(named["sha256"])


def _refuse_preferences(parts: Sequence[Contents], what: str) -> None:
    """Raise if some of the data are preferences, whose loss is of another kind.

    Raises:
        DataError: One is.
    """
    for part in parts:
        if part.reference_sha256 is not None:
            fix = "train on it alone; its own validation split is measured"
            what = f"holds preferences, and {what}"
            raise DataError(Problem(part.source, "", what, fix, kind="data.preferences"))


def _split_ids(ids: Ids, held_out: HeldOut) -> dict[str, BatchSource]:
    if held_out == "tenth":
        end = len(ids) * 9 // 10
        return {"train": TokenSource([ids[:end]]), "val": TokenSource([ids[end:]])}
    return {"val" if held_out == "all" else "train": TokenSource([ids])}


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
    for name in ("token_kind", "chars"):
        if theirs.get(name) and ours.get(name) and theirs[name] != ours[name]:
            what = "differs from the model's, so the ids of this data set mean something else to it"
            raise DataError(Problem(str(file), f"/{name}", what, fix))
    if tokenizer.token_kind != "gpt2" or ours.get(_SPECIAL):  # else it was trained on them already
        _check_special_tokens(file, theirs.get(_SPECIAL) or {}, find_special_texts(tokenizer), fix)


def _check_special_tokens(
    file: Path, theirs: Mapping[str, int], ours: Mapping[str, int], fix: str
) -> None:
    """Raise if a data set has special tokens that the model lacks; it may have fewer."""
    other = next((text for text, number in theirs.items() if ours.get(text) != number), None)
    if other is None:
        return
    where = json_pointer((_SPECIAL, other))
    if other not in ours and theirs[other] not in ours.values():
        what = "is a special token that the model lacks"
        fix = "begin a new model with its weights (--init_from_model), which gets the token"
    else:
        what = "differs from the model's, so the ids of this data set mean something else to it"
    raise DataError(Problem(str(file), where, what, fix))


def _check_kind_of_ids(
    folder: str | Path, tokenizer: Tokenizer, highest: int, vocab_size: int, *, eval_only: bool
) -> None:
    """Raise if the ids of a data set are not of the kind that they were read as."""
    check_assumed_tokenizer(folder, tokenizer.token_kind, highest)
    known = min(vocab_size, tokenizer.n_vocab)  # a model may have more
    if highest >= known:
        problem = find_wrong_ids(folder, known, eval_only=eval_only)
        if problem is not None:
            raise DataError(problem)
