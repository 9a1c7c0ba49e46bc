"""Data sets of nanoGPT and of llm.c, read where they lie.

```
nanoGPT                                   llm.c
  train.bin  val.bin   uint16 ids           <name>_train.bin  or  <name>_train_000001.bin ...
  meta.pkl             the characters       <name>_val.bin    or  <name>_val_000000.bin ...
```

nanoGPT's ids are GPT-2's where there is no `meta.pkl`. llm.c's files have a header, see `shard.py`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.data.metadata import METADATA_FILE, STATE_FILE
from mypt.data.token_files.array_file import raise_data_error
from mypt.data.token_files.shard import read_llm_c_dtype
from mypt.format.errors import DataError, FormatError
from mypt.format.readers.shared.plain_pickle import read_plain_pickle
from mypt.format.readers.shared.vocabulary import list_by_id
from mypt.format.storage.files import is_present

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

META_FILE = "meta.pkl"
DTYPE = "<u2"  # where no header says otherwise
_NAME = re.compile(r"(?:.+_)?(train|val)(?:_\d+)?\.bin")
_GPT2 = {"token_kind": "gpt2"}
_FIRST_WORD = 256  # GPT-2's ids below are single bytes
_NAME_TOKENIZER = "train a model that has the tokenizer: --init_from_model, or its own name"


def find_split_files(folder: Path) -> dict[str, list[Path]] | None:
    """List the token files of another program's data set by split, in the order of their names.

    Returns:
        The files of "train" and "val", each possibly empty; None if the folder is a data set of
        mypt or MyPT, or has no such files.
    """
    own = (METADATA_FILE, STATE_FILE, "train", "val")
    if any(is_present(folder / name) for name in own):
        return None
    found: dict[str, list[Path]] = {"train": [], "val": []}
    for path in sorted(folder.glob("*.bin")):
        if match := _NAME.fullmatch(path.name):
            found[match[1]].append(path)
    return found if any(found.values()) else None


def read_characters(folder: Path) -> dict[str, Any] | None:
    """Read the characters of a nanoGPT data set, as the fields of `tokenizer.json`.

    Returns:
        The fields; None if there is no `meta.pkl`.

    Raises:
        DataError: It has something other than a character for each id.
    """
    path = folder / META_FILE
    if not is_present(path):
        return None
    try:
        itos = read_plain_pickle(path, str(path)).get("itos")
    except FormatError as error:
        raise DataError(*error.problems) from error
    except OSError as error:
        raise_data_error(path, f"cannot be read ({error.strerror})", "check its permissions")
    chars = _list_characters(itos)
    if chars is None:
        what = "has no table of characters (`itos`), so what the ids mean is not known"
        raise_data_error(path, what, _NAME_TOKENIZER)
    return {"token_kind": "char", "chars": chars}


def assume_tokenizer(files: Mapping[str, list[Path]]) -> dict[str, Any]:
    """Return the tokenizer that a data set without `meta.pkl` was made with: GPT-2's.

    Raises:
        DataError: A file by llm.c says that it is another one.
    """
    for path in (path for paths in files.values() for path in paths):
        if read_llm_c_dtype(path) not in (None, DTYPE):
            what = "has ids of the tokenizer of Llama 3, which is not part of mypt"
            raise_data_error(path, what, _NAME_TOKENIZER)
    return dict(_GPT2)


def check_assumption(folder: Path, token_kind: str, highest: int) -> None:
    """Raise if ids that are taken for GPT-2's are those of characters.

    Args:
        folder: A data set of another program that does not name its tokenizer.
        token_kind: What the ids are taken for.
        highest: The highest of them.

    Raises:
        DataError: Every one of them would be a single byte to GPT-2.
    """
    if token_kind == _GPT2["token_kind"] and 0 <= highest < _FIRST_WORD:
        what = f"has no id above {highest}: these are not tokens of GPT-2, but perhaps characters"
        fix = f"put the {META_FILE} that was made with it into the folder"
        raise_data_error(folder, what, fix)


def _list_characters(itos: Any) -> list[str] | None:
    """Return the characters in the order of their ids, or None if the table is no such list."""
    chars = list_by_id(itos) or []
    single = all(isinstance(char, str) and len(char) == 1 for char in chars)
    return chars if chars and single and len(set(chars)) == len(chars) else None
