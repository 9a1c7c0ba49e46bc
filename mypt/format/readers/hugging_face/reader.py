"""Folders of Hugging Face's `save_pretrained`: GPT-2 and Llama models in safetensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.hugging_face import gpt2 as hf_gpt2
from mypt.format.readers.hugging_face import llama as hf_llama
from mypt.format.readers.shared.fields import refuse
from mypt.format.readers.shared.tensor_map import HEAD, Source, arrange, checked_config, sources_of
from mypt.format.readers.shared.vocabulary import BARE, TOKENIZER_OPTION, hugging_face
from mypt.format.storage.files import open_regular, read_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mypt.format.layout import Layouts
    from mypt.format.readers.contract import Load

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
_FORBIDDEN = frozenset("/\\:")


class Family(Protocol):
    """What the module of a family of models offers.

    Attributes:
        LAYOUTS: The parts that its models have.
    """

    LAYOUTS: Layouts

    def config_fields(self, held: Mapping[str, Any], file: str) -> dict[str, Any]:
        """Give fields of mypt's config; refuse what it cannot say."""
        ...

    def names(self, tensors: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[str], Source]]:
        """Give the tensors without buffers, and where each tensor of mypt is."""
        ...

    def notes(self, held: Mapping[str, Any]) -> list[str]:
        """Say what differs in training."""
        ...


FAMILIES: Mapping[str, Family] = {"gpt2": hf_gpt2, "llama": hf_llama}


def recognises(path: Path) -> bool:
    """Tell whether this is a folder of Hugging Face's, of whatever family of models."""
    if not (path / CONFIG).is_file():
        return False
    try:
        held, _ = read_document(path / CONFIG, CONFIG)
    except (FormatError, OSError):
        return False
    return isinstance(held.get("model_type"), str) and "format_version" not in held


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read it whole; there is no training state in such a folder.

    Raises:
        FormatError: It is damaged, or a model that mypt's config cannot say.
    """
    file = str(path / CONFIG)
    held, _ = read_document(path / CONFIG, file)
    family = FAMILIES.get(held["model_type"])
    if family is None:
        what = f"is {held['model_type']}; mypt reads {' and '.join(FAMILIES)}"
        raise refuse(file, "/model_type", what, "install a plugin that reads it")
    if held.get("quantization_config") is not None:
        what = "says that the weights are quantized"
        raise refuse(file, "/quantization_config", what, "save the model without quantization")
    document, config = checked_config(family.config_fields(held, file), file, family.LAYOUTS)
    tensors, source_of = family.names(_tensors(path, load))
    sources = sources_of(config, source_of, tensors, str(path), family.LAYOUTS)
    if config.tie_weights:
        # a tied head is stored by old programs only, and never read
        tensors = {n: t for n, t in tensors.items() if (n,) != sources[HEAD].names}
        sources[HEAD] = sources["token_embedding_table.weight"]
    report = [f"read from {path.name}", *family.notes(held)]
    tokenizer = None
    if options.get("tokenizer") == BARE or not (path / TOKENIZER).is_file():
        report.append(f"no {TOKENIZER} is taken over: a model of bare ids")
    else:
        tokenizer = hugging_face(path / TOKENIZER, config.vocab_size)
    return Checkpoint(
        version="2.0",
        config=document,
        tokenizer=tokenizer,
        tensors=arrange(tensors, sources, config, str(path), family.LAYOUTS),
        report=tuple(report),
    )


def _tensors(path: Path, load: Load) -> dict[str, Any]:
    """Give the tensors of the one file, or of all that the index lists."""
    if (path / WEIGHTS).is_file():
        return dict(_load(path / WEIGHTS, load))
    if not (path / INDEX).is_file():
        what = f"holds neither {WEIGHTS} nor {INDEX}"
        fix = "save the model with safe_serialization=True: other files can run code"
        raise refuse(str(path), "", what, fix)
    file = str(path / INDEX)
    index, _ = read_document(path / INDEX, file)
    places = index.get("weight_map")
    if not isinstance(places, dict) or not all(_is_name(name) for name in places.values()):
        what = "is no map from tensors to files of this folder"
        raise refuse(file, "/weight_map", what, "restore the file")
    tensors: dict[str, Any] = {}
    for shard in sorted(set(places.values())):
        for name, tensor in _load(path / shard, load).items():
            if places.get(name) != shard:
                what = f"is in {shard}, where {INDEX} does not place it"
                raise refuse(str(path), name, what, "restore the files")
            tensors[name] = tensor
    missing = [name for name in places if name not in tensors]
    if missing:
        raise FormatError(
            *(Problem(str(path), n, f"is missing in {places[n]}", _RESTORE) for n in missing[:20])
        )
    return tensors


_RESTORE = "restore the file"


def _load(file: Path, load: Load) -> Mapping[str, Any]:
    name = str(file)
    try:
        with open_regular(file, name):
            pass
    except FileNotFoundError as error:
        raise FormatError(Problem(name, "", "is missing", _RESTORE, kind="file.missing")) from error
    contents: Mapping[str, Any] = load(file, name)
    return contents


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & _FORBIDDEN


OPTIONS = {"type": "object", "properties": {"tokenizer": TOKENIZER_OPTION}}
READER = ReaderFactory("hugging_face", recognises=recognises, read=read, options=OPTIONS)
