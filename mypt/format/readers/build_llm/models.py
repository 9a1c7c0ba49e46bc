"""The kinds of models of build_llm_karpathy, expressed in mypt's config."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.migrations.fuse_heads import ROLES
from mypt.format.readers.build_llm import bigram
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    pick_known_fields,
    require_positive_int,
)
from mypt.format.readers.shared.gpt2_names import INSIDE, count_layers, make_gpt2_lookup
from mypt.format.readers.shared.tensor_map import find_sources, make_config
from mypt.format.readers.shared.tensor_source import TensorSource
from mypt.format.readers.shared.tied_head import describe_untied, is_tied

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.documents.config import GPTConfig

_CONV1D = tuple(f".{name}" for name in INSIDE.values() if not name.startswith("ln"))
_GPT2 = "model.transformer."
_GPT2_EMBEDDING, _GPT2_HEAD = f"{_GPT2}wte.weight", "model.lm_head.weight"
_DROPOUT = 0.2  # of that program, where a file does not say it
# The number of heads is only implied by the name of the original model.
_GPT2_HEADS = {"gpt2": 12, "gpt2-medium": 16, "gpt2-large": 20, "gpt2-xl": 25}
_CONSTANT = "that program keeps the learning rate constant; mypt decays it to a tenth"


@frozen(kw_only=True)
class ModelKind:
    """The kind of model in a file, expressed in mypt's terms.

    Attributes:
        document: Fields of `config.json`.
        config: The same as an object.
        sources: The source of each of mypt's tensors.
        training: Fields of `training_config` that are fixed in the program's code.
        tied: Names of the file's tensors that share the storage of others.
        built: The tensors themselves, if they are computed from those of the file.
        is_gpt2: Whether it is the wrapper of GPT-2, with its tokenizer.
        report: What a user should know, one line each.
        remarks: What a user should know at every opening, one line each.
    """

    document: dict[str, Any]
    config: GPTConfig
    sources: dict[str, TensorSource]
    training: dict[str, Any]
    tied: tuple[str, ...] = ()
    built: Mapping[str, Any] | None = None
    is_gpt2: bool = False
    report: tuple[str, ...] = field(factory=tuple)
    remarks: tuple[str, ...] = ()


def is_conv1d(layer: str) -> bool:
    """Return whether a layer's matrix is stored as (in, out), as GPT-2's are."""
    return layer.startswith(_GPT2) and layer.endswith(_CONV1D)


def detect_kind(
    contents: Mapping[str, Any], tensors: Mapping[str, Any], adapted: bool, path: Path
) -> ModelKind:
    """Return the kind of a model, with its config.

    Args:
        contents: The whole file.
        tensors: Its weights, with adapters merged and without masks.
        adapted: Whether adapters were merged.
        path: The file.

    Raises:
        FormatError: The file lacks information that is needed.
    """
    file = str(path)
    kind = contents["hyperparameters"].get("model_type", "from_scratch")
    if kind == "gpt2":
        return _detect_gpt2(contents, tensors, adapted, path)
    if kind != "from_scratch":
        what, fix = f"is {kind!r}, a kind of model that mypt does not know", "restore the file"
        raise make_unsupported_error(file, "hyperparameters/model_type", what, fix)
    if bigram.is_bigram(tensors):
        return _detect_bigram(contents, tensors, file)
    return _detect_from_scratch(contents, tensors, file)


def _detect_from_scratch(
    contents: Mapping[str, Any], tensors: Mapping[str, Any], file: str
) -> ModelKind:
    hyperparameters = contents["hyperparameters"]
    width = require_positive_int(hyperparameters, "n_embd", file)
    heads = require_positive_int(hyperparameters, "n_head", file)
    if heads > len(tensors):
        what = f"is {heads}, but there are only {len(tensors)} tensors"
        raise make_unsupported_error(file, "hyperparameters/n_head", what, "restore the file")
    fields = {
        "block_size": require_positive_int(contents, "block_size", file),
        "vocab_size": require_positive_int(contents, "vocab_size", file),
        "n_embd": width,
        "n_head": heads,
        "n_layer": require_positive_int(hyperparameters, "n_layer", file),
        "dropout": _DROPOUT,
        **pick_known_fields(hyperparameters, {"dropout": "dropout"}),
        **pick_known_fields(contents, {"batch_size": "batch_size"}),
        "bias": False,
        "proj_bias": True,
        "mlp_type": "relu",
        "attn_scale": width**-0.5,
        "head_size": width // heads if width % heads else None,
    }
    document, config = make_config(fields, file)

    def find_source(name: str) -> TensorSource:
        if name.startswith("ln_f."):
            # the final norm is the last element of the list of blocks
            return TensorSource((name.replace("ln_f", f"blocks.{config.n_layer}"),))
        if name.endswith(".sa.qkv.weight"):
            place = name.removesuffix("qkv.weight")
            return TensorSource(
                tuple(
                    f"{place}heads.{head}.{role}.weight"
                    for role in ROLES
                    for head in range(config.n_head)
                )
            )
        return TensorSource((name.replace(".fwd.", ".ffwd."),))

    return ModelKind(
        document=document,
        config=config,
        sources=find_sources(config, find_source, tensors, file),
        training={"grad_clip": 0.0, "warmup_iters": 0.0},
        report=(
            "query, key and value of all heads are joined into one matrix per layer",
            "attention is scaled by n_embd ** -0.5, as in that program",
            _CONSTANT,
        ),
    )


def _detect_bigram(contents: Mapping[str, Any], tensors: Mapping[str, Any], file: str) -> ModelKind:
    document, config = make_config(bigram.make_bigram_fields(contents, file), file)
    return ModelKind(
        document=document,
        config=config,
        sources={},
        training={"grad_clip": 0.0, "warmup_iters": 0.0},
        built=bigram.make_bigram_tensors(tensors, config.vocab_size, file),
        report=(bigram.NOTE,),
    )


def _detect_gpt2(
    contents: Mapping[str, Any], tensors: Mapping[str, Any], adapted: bool, path: Path
) -> ModelKind:
    file, hyperparameters = str(path), contents["hyperparameters"]
    name = hyperparameters.get("gpt2_model_name")
    heads = _GPT2_HEADS.get(str(name))
    if heads is None:
        what = f"is {name!r}, which does not imply a number of attention heads"
        fix = f"correct it to one of {', '.join(_GPT2_HEADS)}"
        raise make_unsupported_error(file, "hyperparameters/gpt2_model_name", what, fix)
    same = adapted or is_tied(tensors, _GPT2_EMBEDDING, _GPT2_HEAD, dict.fromkeys(tensors, path))
    tied = same and not adapted
    fields = {
        "block_size": _count_rows(tensors, f"{_GPT2}wpe.weight", file),
        "vocab_size": require_positive_int(contents, "vocab_size", file),
        "n_embd": _infer_width(tensors, file),
        "n_head": heads,
        "n_layer": count_layers(tensors),
        "dropout": 0.1,  # GPT-2's own, which that program keeps
        **pick_known_fields(contents, {"batch_size": "batch_size"}),
        "bias": True,
        "head_bias": False,
        "tie_weights": tied,
        "mlp_type": "gelu_tanh",
    }
    document, config = make_config(fields, file)
    find_source = make_gpt2_lookup(_GPT2, _GPT2_HEAD, transposed=True)
    report = [f"{heads} attention heads, as {name} has", _CONSTANT]
    if adapted:
        report.append("the output matrix is no longer tied: its adapter is merged into it")
    return ModelKind(
        document=document,
        config=config,
        sources=find_sources(config, find_source, tensors, file),
        training={"grad_clip": 2.0 if adapted else 1.0},
        tied=(_GPT2_HEAD,) if tied else (),
        is_gpt2=True,
        report=tuple(report),
        remarks=() if same else (describe_untied(_GPT2_EMBEDDING, _GPT2_HEAD),),
    )


def _count_rows(tensors: Mapping[str, Any], name: str, file: str) -> int:
    if name not in tensors or len(tensors[name].shape) != 2:
        raise make_unsupported_error(file, name, "is missing, or not a matrix", "restore the file")
    return int(tensors[name].shape[0])


def _infer_width(tensors: Mapping[str, Any], file: str) -> int:
    """Return the width that most tensors have, so that a faulty one can be pointed out."""
    shapes = (
        tuple(tensor.shape)
        for name, tensor in tensors.items()
        if re.search(r"\.(wte|wpe|ln_1|ln_2|ln_f)\.", name)
    )
    widths = Counter(shape[-1] for shape in shapes if shape)
    if not widths:
        raise make_unsupported_error(file, f"{_GPT2}wte.weight", "is missing", "restore the file")
    return int(widths.most_common(1)[0][0])
