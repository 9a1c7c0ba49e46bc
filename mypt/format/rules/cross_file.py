"""How the files of a bundle must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.special_tokens import END_OF_TEXT, END_OF_TEXT_ID, list_places
from mypt.format.documents.tokenizer import GPT2_VOCAB_SIZE
from mypt.format.errors import Problem, limit_problems
from mypt.format.rules.training_only import may_hold_optimizer
from mypt.format.schema.messages import format_value, json_pointer
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from mypt.format.documents.convert import Document
    from mypt.format.documents.manifest import FileRecord


# A file of tensors that was changed after saving, by its size or by its digest.
SIZE, DIGEST = "manifest.size", "manifest.digest"
# A file of a bundle that is not there.
MISSING_FILE = "file.missing"


def tokenizer_problems(tokenizer: Document, vocab_size: int, file: str) -> list[Problem]:
    """Compare the ids that a tokenizer produces with the rows that the model has for them.

    Args:
        tokenizer: Fields of `tokenizer.json`.
        vocab_size: Rows of the model.
        file: Name of the tokenizer's file, for messages.
    """
    fix = "restore both files from the same checkpoint"
    known = {"char": len(tokenizer.get("chars") or ()), "gpt2": GPT2_VOCAB_SIZE}
    kind = tokenizer["token_kind"]
    problems = []
    if known.get(kind, 0) > vocab_size:
        where = "/chars" if kind == "char" else "/token_kind"
        what = f"needs {known[kind]} ids, but the model's vocab_size is {vocab_size}"
        problems.append(Problem(file, where, what, fix, kind="tokenizer.size"))
    special = tokenizer.get("special_token_encoder", {})
    problems += limit_problems(_special_token_problems(special, vocab_size, fix, file))
    problems += limit_problems(_taken_problems(special, known.get(kind, 0), kind, file))
    return problems + limit_problems(_role_problems(tokenizer, vocab_size, file))


def _role_problems(tokenizer: Document, vocab_size: int, file: str) -> Iterator[Problem]:
    """Check that the model has a row for each token with a role, and a BOS where texts have one."""
    roles = tokenizer.get("special_tokens", {})
    for place, number in list_places(roles):
        if number >= vocab_size:
            where = json_pointer(("special_tokens", *place))
            what = f"is {number}, but the model's vocab_size is {vocab_size}"
            fix = "name the id of a token that the model has, or leave it out"
            yield Problem(file, where, what, fix, kind="tokenizer.role")
    if tokenizer.get("add_bos") and not roles.get("bos"):
        what, fix = "is true, but special_tokens names no bos", "name it, or set this to false"
        yield Problem(file, "/add_bos", what, fix, kind="tokenizer.role")


def state_problems(state: Document, has_file: Iterable[str], file: str) -> list[Problem]:
    """Check the training state by itself and against the files beside it.

    Args:
        state: Fields of `training_state.json`.
        has_file: Names of the files of the bundle.
        file: Name of the state's file, for messages.
    """
    problems = []
    optimizer, step = state.get("optimizer_file"), state["step"]
    if optimizer is not None and not may_hold_optimizer(optimizer):
        what, fix = f"names {optimizer}, which is another file of the bundle", "restore the file"
        problems.append(Problem(file, "/optimizer_file", what, fix, kind="state.optimizer"))
    elif optimizer is not None and optimizer not in has_file:
        what = f"names {optimizer}, which does not exist"
        fix = "restore it; without it training can only resume with a fresh optimizer"
        problems.append(_make_warning(file, "/optimizer_file", what, fix, "state.optimizer"))
    gold, training = state.get("gold") or {}, state.get("training_config") or {}
    for where, value in (
        ("/training_config/start_step", training.get("start_step")),
        ("/gold/best_step", gold.get("best_step")),
    ):
        if value is not None and step is not None and value > step:
            what, fix = f"is {value}, after step {step}", "restore the file"
            problems.append(_make_warning(file, where, what, fix, "state.step"))
    return problems


def digest_problem(file: str) -> Problem:
    """Return the problem of a file of tensors whose digest is not that of the manifest."""
    what, fix = "is not what was saved: its digest differs", "restore it from a copy"
    if file.endswith(files.OPTIMIZER):
        fix += ", or remove it: training then goes on with a fresh optimizer"
    return Problem(file, "", what, fix, kind=DIGEST)


def size_problems(record: FileRecord, size_bytes: int, file: str) -> list[Problem]:
    """Compare the size of a file with its entry in the manifest.

    Args:
        record: The manifest's entry.
        size_bytes: Size of the file.
        file: Name of the file, for messages.
    """
    if size_bytes == record.size_bytes:
        return []
    what = f"is {size_bytes} bytes, but was saved with {record.size_bytes}"
    return [Problem(file, "", what, "restore it from a copy", kind=SIZE)]


def presence_problems(
    paths: Mapping[str, Any], listed: Iterable[str], folder: Path
) -> list[Problem]:
    """Return a problem for each missing file, with the name that it has in another case.

    Args:
        paths: The existing files, by stable name.
        listed: The names that the manifest lists.
        folder: Path of the bundle.

    Raises:
        OSError: The folder cannot be listed.
    """
    needed = {
        files.CONFIG: "no model can be built without it",
        files.MODEL: "it holds the weights",
        files.TOKENIZER: "text can be neither encoded nor decoded without it",
    }
    missing = [name for name in dict.fromkeys((*needed, *listed)) if name not in paths]
    others = {right: name for name, right in files.find_misnamed(folder).items()} if missing else {}
    problems = []
    for name in missing:
        file, fix = f"{folder}/{name}", f"restore it: {needed.get(name, 'the manifest lists it')}"
        if name in others:
            fix = f"rename `{others[name]}` to it"
        elif name == files.TRAINING_STATE:  # a training would begin anew, at step 0
            fix += "; or remove the manifest too, to train these weights from step 0"
        if name in (files.CONFIG, files.MODEL, files.TRAINING_STATE):
            problems.append(Problem(file, "", "is missing", fix, kind=MISSING_FILE))
        else:
            problems.append(_make_warning(file, "", "is missing", fix, MISSING_FILE))
    return limit_problems(problems)


def _special_token_problems(
    special: Mapping[str, int], vocab_size: int, fix: str, file: str
) -> Iterator[Problem]:
    texts: dict[int, str] = {}
    for text, index in special.items():
        where = json_pointer(("special_token_encoder", text))
        if index >= vocab_size:
            what = f"has id {index}, but the model's vocab_size is {vocab_size}"
            yield Problem(file, where, what, fix, kind="tokenizer.size")
        if texts.setdefault(index, text) != text:
            what = f"has id {index}, which {format_value(texts[index])} also has"
            yield Problem(file, where, what, "use each id only once", kind="tokenizer.twice")


def _taken_problems(
    special: Mapping[str, int], n_own: int, kind: str, file: str
) -> Iterator[Problem]:
    """Check that special tokens lie beyond the tokenizer's own vocabulary, as far as it is known.

    Args:
        special: Ids of the special tokens, by their text.
        n_own: Number of ids of the tokenizer's own; 0 where only its plugin knows.
        kind: Its kind.
        file: Name of its file, for messages.
    """
    own = {END_OF_TEXT: END_OF_TEXT_ID} if kind == "gpt2" else {}
    for text, index in special.items():
        if index < n_own and own.get(text) != index:
            what = f"has id {index}, which is taken: the tokenizer itself has {n_own} ids"
            fix = f"give it an id from {n_own} on"
            where = json_pointer(("special_token_encoder", text))
            yield Problem(file, where, what, fix, kind="tokenizer.taken")


def _make_warning(file: str, where: str, what: str, fix: str, kind: str) -> Problem:
    return Problem(file, where, what, fix, kind=kind, severity="warning")
