"""Reader of folders of torch.distributed.checkpoint (DCP), as FSDP saves them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.readers.containers.likeness import ASK_FOR_LIKE, read_likeness
from mypt.format.readers.containers.selection import OPTIONS, find_tokenizer, select_tensors
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.fields import make_unsupported_error
from mypt.format.tensors.torch_dcp.dcp_folder import is_dcp_folder
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypt.format.readers.contract import Load

# What the tensors of optimizers, beside a model in one state dict, begin with.
_OPTIMIZER = re.compile(r"optim(izer)?s?(_states?)?\.")
_MODULE_STATE = "_extra_state"  # what a module computes with beside its tensors


def recognises(path: Path) -> bool:
    """Return whether this is a folder of torch.distributed.checkpoint, whatever it holds."""
    return is_dcp_folder(path)


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read the model of a folder; its optimizer and the rest are left out.

    Raises:
        FormatError: It is damaged, or holds another model than the options say.
    """
    file = str(path)
    if "like" not in options:
        what = "holds the tensors of a model, and not its architecture"
        raise missing_option(file, what, ASK_FOR_LIKE)
    likeness = read_likeness(Path(options["like"]), options)
    contents = load(path)
    stored, others = contents["tensors"], contents["others"]
    prefix, names = options.get("prefix"), [*stored]
    if prefix is None:
        names = [name for name in stored if not _OPTIMIZER.match(name)]
        others = [*others, *(stored.keys() - {*names})]
    _check_module_states(others, prefix, file)
    tensors, notes = select_tensors(stored, names, prefix, file)
    model = likeness.convert(tensors, dict.fromkeys(tensors, path), file)
    left = ", ".join(sorted({name.split(".")[0] for name in others}))
    report = [
        f"read from {path.name}, as a model of {likeness.program}",
        *notes,
        *([f"what is saved there as {left} is left out"] if left and prefix is None else []),
        *model.report,
    ]
    tokenizer = find_tokenizer(file, model.config.vocab_size, options, report)
    return Checkpoint(
        version=FORMAT_VERSION,
        config=model.document,
        tokenizer=tokenizer,
        tensors=model.tensors,
        report=tuple(report),
        remarks=model.remarks,
    )


def _check_module_states(others: Iterable[str], prefix: str | None, file: str) -> None:
    """Raise if a module of the model computes with more than its tensors."""
    for name in others:
        if name.startswith(prefix or "") and _MODULE_STATE in name.split("."):
            what = "is the state of a module that computes with more than its tensors"
            raise make_unsupported_error(file, name, what, "install a plugin that reads it")


READER = ReaderFactory(
    "torch_dcp",
    recognises=recognises,
    read=read,
    options={"type": "object", "properties": OPTIONS},
    takes_infos=True,
)
