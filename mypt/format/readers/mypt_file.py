"""Reader of version 0: one file with weights, config, tokenizer, step and optimizer state."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError, Problem, has_errors
from mypt.format.readers.shared.peek import peek_dict
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.schema.check import check_document
from mypt.format.storage.files import is_regular_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.readers.contract import Load

NAME = "mypt_file"
KEYS = frozenset({"model_state_dict", "config"})
# In the order in which MyPT looked for them; then the highest step, as its first release saved.
NAMES = ("latest.pt", "final.pt", "gpt_final.pt")
ROOTS = (
    "token_embedding_table.",
    "position_embedding_table.",
    "blocks.",
    "ln_f.",
    "lm_head.",
)
_STEP = re.compile(r"gpt_step_(\d+)\.pt")


def find_file(path: Path) -> Path | None:
    """Return the file to read: `path` itself, or the one MyPT would have opened in that folder."""
    if is_regular_file(path):
        return path
    for name in NAMES:
        if is_regular_file(path / name):
            return path / name
    steps = {
        int(m[1]): file for file in path.glob("gpt_step_*.pt") if (m := _STEP.fullmatch(file.name))
    }
    return steps[max(steps)] if steps else None


def is_legacy_name(file: Path) -> bool:
    """Return whether this is a file name that MyPT itself used."""
    return file.name in NAMES or _STEP.fullmatch(file.name) is not None


def recognises(path: Path) -> bool:
    """Return whether the content is that of version 0."""
    file = find_file(path)
    contents = None if file is None else peek_dict(file, KEYS, ("model_state_dict", "config"))
    return contents is not None and "n_layer" in contents["config"]


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:  # noqa: ARG001
    """Read the whole file.

    Raises:
        FormatError: It is damaged, or contains something other than tensors and plain values.
    """
    file = find_file(path)
    if file is None:
        fix = "name the file itself"
        raise FormatError(Problem(str(path), "", "holds no checkpoint file", fix))
    contents = load(file)
    config = contents["config"]
    problems = check_document("config", config, str(file))  # also of what MyPT did not have
    if has_errors(problems):
        raise FormatError(*(problem for problem in problems if problem.severity == "error"))
    tensors, taken_off = unwrap_names(contents["model_state_dict"], ROOTS, str(file))
    step = contents.get("step")
    return Checkpoint(
        version="0",
        config=config,
        tokenizer=contents.get("tokenizer"),
        training_state=None if step is None else {"step": step},
        tensors=tensors,
        optimizer=contents.get("optimizer_state_dict"),
        report=(f"read from {file.name}", *taken_off),
    )
