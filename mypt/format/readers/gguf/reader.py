"""Reader of GGUF, the files of llama.cpp and of what is built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError
from mypt.format.layout import EMBEDDING, HEAD
from mypt.format.readers.contract import FileForm, ReaderFactory
from mypt.format.readers.gguf.architectures import ARCHITECTURES
from mypt.format.readers.gguf.model_keys import ARCHITECTURE, ModelKeys
from mypt.format.readers.gguf.rope_factors import FACTORS, MAX_FACTORS, find_scaling
from mypt.format.readers.gguf.tensor_names import has_fused_qkv, make_lookup
from mypt.format.readers.gguf.vocabulary import read_vocabulary
from mypt.format.readers.shared.fields import make_unsupported_error
from mypt.format.readers.shared.tensor_map import find_sources, make_config, map_tensors
from mypt.format.readers.shared.tensor_source import take_tensor
from mypt.format.readers.shared.vocabulary import NO_TOKENIZER, TOKENIZER_OPTION
from mypt.format.storage.files import is_regular_file
from mypt.format.tensors.gguf.block_types import BY_NAME
from mypt.format.tensors.gguf.header import is_gguf
from mypt.format.tensors.gguf.load import describe, load, read_small
from mypt.format.tensors.info import TensorInfo
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.contract import Load
    from mypt.format.readers.gguf.architecture import Architecture
    from mypt.format.readers.shared.tensor_source import TensorSource
    from mypt.format.tensors.gguf.load import GGUFContents

FORM = FileForm(describe=describe, load=load)
_TYPE, _PARTS, _QUANTIZATION = "general.type", "split.count", "general.quantization_version"
_QUANTIZATIONS = (2,)
_INSTALL = "install a plugin that reads it"


def recognises(path: Path) -> bool:
    """Return whether this is a GGUF file, of any architecture."""
    try:
        return is_regular_file(path) and is_gguf(path, str(path))
    except (FormatError, OSError):
        return False


def defers(path: Path) -> bool:
    """Return whether a file is of an architecture that mypt does not read."""
    try:
        return describe(path, str(path)).header.metadata.get(ARCHITECTURE) not in ARCHITECTURES
    except (FormatError, OSError):
        return False


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read the model; such files have no training state.

    Raises:
        FormatError: It is damaged, or mypt's config cannot express the model.
    """
    file = str(path)
    contents: GGUFContents = load(path, FORM)
    metadata = contents.header.metadata
    _check_kind(contents, file)
    architecture = _find_architecture(metadata, file)
    keys = ModelKeys.select(metadata, architecture.name, file)
    keys.check(architecture.keys)
    infos = {name: tensor.info for name, tensor in contents.header.tensors.items()}
    fields = architecture.convert_config(keys, {name: info.shape for name, info in infos.items()})
    if architecture.takes_factors and FACTORS in infos:
        fields |= _convert_factors(path, contents, fields, keys)
        del infos[FACTORS]
    document, config = make_config(fields, file)
    order = evolve(architecture.order, fuses_qkv=has_fused_qkv(infos))
    sources = find_sources(config, make_lookup(config, order), infos, file)
    if config.tie_weights:
        sources[HEAD] = sources[EMBEDDING]
    tensors = map_tensors(infos, sources, config, file)
    if not isinstance(next(iter(contents.tensors.values()), None), TensorInfo):
        tensors = _load_tensors(contents, sources, config)
    report = [f"read from {path.name}", *_list_notes(architecture, contents)]
    tokenizer = None
    if options.get("tokenizer") != NO_TOKENIZER:
        tokenizer = read_vocabulary(metadata, config.vocab_size, file, report)
    if tokenizer is None:
        report.append("no tokenizer is taken over: the model takes bare ids")
    return Checkpoint(
        version=FORMAT_VERSION,
        config=document,
        tokenizer=tokenizer,
        tensors=tensors,
        report=tuple(report),
    )


def _check_kind(contents: GGUFContents, file: str) -> None:
    """Raise if a file holds something other than a whole model.

    Raises:
        FormatError: It holds an adapter, a part of a model, or blocks of another version.
    """
    metadata = contents.header.metadata
    kind, parts = metadata.get(_TYPE, "model"), metadata.get(_PARTS, 1)
    if kind != "model":
        what = f"is {kind!r:.60}, not a model"
        raise make_unsupported_error(file, _TYPE, what, "merge it into its model with llama.cpp")
    if parts not in (0, 1):
        what = f"is {parts!r:.60}: the file is one part of a model"
        raise make_unsupported_error(
            file, _PARTS, what, "join the parts: llama-gguf-split --merge FIRST OUTPUT"
        )
    version = metadata.get(_QUANTIZATION, _QUANTIZATIONS[0])
    if _list_quantized(contents) and version not in _QUANTIZATIONS:
        what = f"is {version!r:.60}; mypt reads {_QUANTIZATIONS[0]}"
        raise make_unsupported_error(file, _QUANTIZATION, what, "quantize the model again")


def _find_architecture(metadata: Mapping[str, Any], file: str) -> Architecture:
    name = metadata.get(ARCHITECTURE)
    if isinstance(name, str) and name in ARCHITECTURES:
        return ARCHITECTURES[name]
    what = f"is {name!r:.60}; mypt reads {', '.join(ARCHITECTURES)}"
    raise make_unsupported_error(file, ARCHITECTURE, what, _INSTALL)


def _convert_factors(
    path: Path, contents: GGUFContents, fields: Mapping[str, Any], keys: ModelKeys
) -> dict[str, Any]:
    """Return the rule by which the divisors of rotary frequencies were computed."""
    tensor = contents.header.tensors[FACTORS]
    pairs = (fields["rope_size"] or fields["head_size"] or 0) // 2
    pairs = pairs or fields["n_embd"] // fields["n_head"] // 2
    scaling = None
    if tensor.type_name == "F32" and tensor.info.shape == (pairs,) and pairs <= MAX_FACTORS:
        factors = read_small(path, keys.file, contents.header, FACTORS)
        scaling = find_scaling(factors, fields["rope_theta"])
    if scaling is None or fields.get("rope_scaling") or fields.get("rope_scale", 1.0) != 1.0:
        what = "divides the rotary frequencies by no rule of mypt's config"
        raise make_unsupported_error(keys.file, FACTORS, what, _INSTALL)
    return {"rope_scaling": scaling} if scaling["factor"] > 1 else {}


def _load_tensors(
    contents: GGUFContents, sources: Mapping[str, TensorSource], config: GPTConfig
) -> dict[str, Any]:
    """Return the tensors, one after the other, so that no more than one is there twice."""
    tensors: dict[str, Any] = {}
    for name, source in sources.items():
        if name == HEAD and config.tie_weights:
            tensors[name] = tensors[EMBEDDING]
            continue
        is_made = len(source.names) > 1 or source.rows is not None
        tensors[name] = take_tensor(source, contents.copies if is_made else contents.tensors)
    return tensors


def _list_notes(architecture: Architecture, contents: GGUFContents) -> Iterable[str]:
    if quantized := _list_quantized(contents):
        yield f"the tensors of {' and '.join(quantized)} are dequantized to float32"
    if architecture.reason:
        yield f"of the architecture {architecture.name}: {architecture.reason}"


def _list_quantized(contents: GGUFContents) -> list[str]:
    names = {tensor.type_name for tensor in contents.header.tensors.values()}
    return sorted(name for name in names if not BY_NAME[name].is_plain)


READER = ReaderFactory(
    "gguf",
    recognises=recognises,
    read=read,
    options={"type": "object", "properties": {"tokenizer": TOKENIZER_OPTION}},
    takes_infos=True,
    defers=defers,
)
