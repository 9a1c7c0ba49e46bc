"""Reader of llama2.c's `ckpt.pt` and of its `.bin` files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.layout import HEAD
from mypt.format.migrations.optimizer_moments import optimizer_settings
from mypt.format.readers import nanogpt
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.llama2c import bin_file
from mypt.format.readers.llama2c.model_args import convert_header, convert_model_args
from mypt.format.readers.llama2c.tensor_names import (
    BUFFERS,
    OUTPUT,
    ROOTS,
    TOKENS,
    make_lookup,
)
from mypt.format.readers.llama2c.tokenizer_files import OPTION, read_tokenizer
from mypt.format.readers.shared.fields import pick_known_fields
from mypt.format.readers.shared.optimizer import try_optimizer
from mypt.format.readers.shared.peek import peek_dict
from mypt.format.readers.shared.tensor_map import (
    find_sources,
    make_config,
    map_moments,
    map_tensors,
)
from mypt.format.readers.shared.tensor_source import TensorSource
from mypt.format.readers.shared.tied_head import describe_untied, is_tied
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.storage.files import is_folder
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.readers.contract import Load

PROGRAM = "llama2.c"
# What a folder is known by; the second is what mypt exports.
_CKPT, MODEL = nanogpt.FILE, "model.bin"


def recognises(path: Path) -> bool:
    """Return whether a file, or the one in a folder that has such a name, is of llama2.c."""
    return _find_file(path) is not None


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read the whole checkpoint; a `.bin` file has no training state.

    Raises:
        FormatError: It is damaged, does not match its config, or its vocabulary is not found.
    """
    file = _find_file(path) or path
    return (_read_bin if bin_file.is_bin(file) else _read_ckpt)(file, load, options)


def _find_file(path: Path) -> Path | None:
    if is_folder(path):
        return next((f for n in (_CKPT, MODEL) if (f := _find_file(path / n))), None)
    contents = peek_dict(path, nanogpt.KEYS, ("model", "model_args"))
    if contents is not None and contents["model_args"].keys() >= nanogpt.LLAMA2_C:
        return path
    return path if bin_file.is_bin(path) else None


def _read_bin(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    file = str(path)
    held = load(path, bin_file.FORM)
    document, config = make_config(convert_header(held.header), file)
    tensors = dict(held.tensors)
    sources = find_sources(config, make_lookup(config), tensors, file)
    if config.tie_weights:
        sources[HEAD] = TensorSource((TOKENS,))
    report = [f"read from {path.name}, version {held.header.version} of its form"]
    if held.header.group_size:
        report.append("its matrices have 8 bits per value, which are made float32 here")
    return Checkpoint(
        version=FORMAT_VERSION,
        config=document,
        tokenizer=read_tokenizer(path, config.vocab_size, options, report),
        tensors=map_tensors(tensors, sources, config, file),
        report=tuple(report),
    )


def _read_ckpt(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    file = str(path)
    contents = load(path)
    settings = contents.get("config") or {}
    named, taken_off = unwrap_names(contents["model"], ROOTS, file)
    tensors = {name: tensor for name, tensor in named.items() if not BUFFERS.fullmatch(name)}
    tied = is_tied(tensors, TOKENS, OUTPUT, dict.fromkeys(tensors, path))
    fields = {
        **convert_model_args(contents["model_args"], file),
        **pick_known_fields(settings, {"batch_size": "batch_size"}),
        "tie_weights": tied,
    }
    document, config = make_config(fields, file)
    sources = find_sources(config, make_lookup(config), tensors, file)
    if tied and OUTPUT not in tensors:
        sources[HEAD] = TensorSource((TOKENS,))
    mapped = map_tensors(tensors, sources, config, file)
    saved = contents.get("optimizer")

    def arranged() -> tuple[dict[str, Any], dict[str, Any]] | None:
        if saved is None:
            return None
        order = [name for name in tensors if name != OUTPUT or not tied]
        moments = map_moments(
            saved, order, sources, tensors, config, rule=nanogpt.DECAY_RULE, file=file
        )
        return moments, optimizer_settings(saved, file)

    found, flaws = try_optimizer(arranged, file)
    optimizer, used = (None, None) if found is None else found
    report = [f"read from {path.name}", *taken_off]
    if settings.get("decay_lr", True):
        report.append("llama2.c decayed the learning rate to 0; mypt's minimum is peak / 10")
    if config.dropout:
        report.append("llama2.c also applies dropout to embeddings in training; mypt does not")
    return Checkpoint(
        version=FORMAT_VERSION,
        config=document,
        tokenizer=read_tokenizer(path, config.vocab_size, options, report),
        training_state=nanogpt.convert_training_state(contents, settings, used, PROGRAM),
        tensors=mapped,
        optimizer=optimizer,
        report=tuple(report),
        remarks=() if tied else (describe_untied(TOKENS, OUTPUT),),
        flaws=flaws,
    )


OPTIONS = {
    "type": "object",
    "properties": {
        OPTION: {
            "type": "string",
            "minLength": 1,
            "description": "Path of the vocabulary, a .model or a .bin; or none: open the model "
            "without a tokenizer, as one of bare ids.",
        }
    },
}
READER = ReaderFactory(
    "llama2c",
    recognises=recognises,
    read=read,
    options=OPTIONS,
    takes_infos=True,
)
