"""What all data sets of conversations have in common while they are written."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mypt.data.metadata import STATE_FILE
from mypt.data.prepare.chats.split_writer import write_file
from mypt.format.errors import DataError, Problem
from mypt.format.schema import strict_json
from mypt.format.storage import files
from mypt.format.storage.atomic_file import open_workplace, remove_leftover
from mypt.format.storage.operating_system import sync_folder
from mypt.format.storage.save_errors import raising_save_errors
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from mypt.data.prepare.chats.split_writer import SplitWriter
    from mypt.plugins.contracts.tokenizer import Tokenizer

_WORKPLACE = "partial"


def check_absent(output: Path) -> None:
    """Raise if something is where a data set is to be written.

    Raises:
        DataError: It is a file, or a folder that is not empty.
    """
    output = files.ensure_basename(output)
    if files.is_present(output) and (files.is_regular_file(output) or any(output.iterdir())):
        remove_leftover(output, _WORKPLACE)
        what, fix = "already exists and is not empty", "name another folder"
        raise DataError(Problem(str(output), "", what, fix, kind="data.exists"))


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Yield a folder beside the place of a data set, which it takes at the end.

    Raises:
        LockedError: Another process writes a data set of that place.
        SaveError: It could not be written; nothing is left behind, as of any error.
    """
    output = files.ensure_basename(output)
    with raising_save_errors(output), open_workplace(output, _WORKPLACE) as work:
        folder = work / output.name
        folder.mkdir()
        yield folder
        if files.is_present(output):
            output.rmdir()
        folder.rename(output)
        sync_folder(output.parent)


def find_val_limit(digests: Collection[bytes], val_fraction: float) -> bytes:
    """Return the highest digest that belongs to the validation split.

    Args:
        digests: At least two, all different.
        val_fraction: How many of them validate: at least one, and not all.
    """
    count = min(max(round(val_fraction * len(digests)), 1), len(digests) - 1)
    return sorted(digests)[count - 1]


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Write the tokenizer: as mypt reads it, and under the name by which MyPT did."""
    state = tokenizer.state()
    write_file(folder / STATE_FILE, strict_json.dump(dict(state)))
    document = {"format_version": FORMAT_VERSION, **state}
    write_file(folder / files.TOKENIZER, strict_json.dump(document))


def describe_splits(
    train: SplitWriter, val: SplitWriter, tokenizer: Tokenizer, val_fraction: float
) -> dict[str, Any]:
    """Return the fields of the metadata that count what was written."""
    return {
        "total_tokens": train.tokens + val.tokens,
        "train_tokens": train.tokens,
        "train_episodes": train.episodes,
        "val_episodes": val.episodes,
        "val_fraction": val_fraction,
        "tokenization": tokenizer.token_kind,
        "vocab_size": tokenizer.vocab_size,
        "dtype": "uint32",
    }
