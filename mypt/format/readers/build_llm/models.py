"""The kinds of models of build_llm_karpathy, in the terms of mypt's config."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.readers.build_llm import bigram
from mypt.format.readers.shared.fields import known, number_of, refuse
from mypt.format.readers.shared.gpt2_names import INSIDE, count_layers, gpt2_source, without_masks
from mypt.format.readers.shared.tensor_map import Source, checked_config, sources_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig

__all__ = ["Kind", "is_conv1d", "kind_of", "without_masks"]

_CONV1D = tuple(f".{name}" for name in INSIDE.values() if not name.startswith("ln"))
_GPT2 = "model.transformer."
_GPT2_HEAD = "model.lm_head.weight"
# The only trace of the number of heads is the name of the model they come from.
_GPT2_HEADS = {"gpt2": 12, "gpt2-medium": 16, "gpt2-large": 20, "gpt2-xl": 25}
_ROLES = ("query", "key", "value")
_CONSTANT = "that program's learning rate stays constant; mypt's falls to a tenth"


@frozen(kw_only=True)
class Kind:
    """What a file holds.

    Attributes:
        document: Fields of `config.json`.
        config: The same.
        sources: Where each tensor of mypt is.
        training: Fields of `training_config` that the program fixes in its code.
        tied: Tensors of the file that are others' storage.
        built: The tensors themselves, where they do not simply follow from the file's.
        is_gpt2: Whether it is the wrapper of GPT-2, with its tokenizer.
        report: What a user should know, a line each.
    """

    document: dict[str, Any]
    config: GPTConfig
    sources: dict[str, Source]
    training: dict[str, Any]
    tied: tuple[str, ...] = ()
    built: Mapping[str, Any] | None = None
    is_gpt2: bool = False
    report: tuple[str, ...] = field(factory=tuple)


def is_conv1d(layer: str) -> bool:
    """Tell whether a layer's matrix is stored as (in, out), as GPT-2's are."""
    return layer.startswith(_GPT2) and layer.endswith(_CONV1D)


def kind_of(
    contents: Mapping[str, Any], tensors: Mapping[str, Any], adapted: bool, file: str
) -> Kind:
    """Tell the kind of a model and what its config is.

    Args:
        contents: The whole file.
        tensors: Its weights, with adapters merged and without masks.
        adapted: Whether adapters were merged.
        file: Its name, for messages.

    Raises:
        FormatError: It does not say what has to be known.
    """
    if contents["hyperparameters"].get("model_type") == "gpt2":
        return _gpt2(contents, tensors, adapted, file)
    if bigram.is_bigram(tensors):
        return _bigram(contents, tensors, file)
    return _from_scratch(contents, tensors, file)


def _from_scratch(contents: Mapping[str, Any], tensors: Mapping[str, Any], file: str) -> Kind:
    hyperparameters = contents["hyperparameters"]
    width = number_of(hyperparameters, "n_embd", file)
    heads = number_of(hyperparameters, "n_head", file)
    if heads > len(tensors):
        what = f"is {heads}, but there are only {len(tensors)} tensors"
        raise refuse(file, "hyperparameters/n_head", what, "restore the file")
    fields = {
        "block_size": number_of(contents, "block_size", file),
        "vocab_size": number_of(contents, "vocab_size", file),
        "n_embd": width,
        "n_head": heads,
        "n_layer": number_of(hyperparameters, "n_layer", file),
        **known(hyperparameters, {"dropout": "dropout"}),
        **known(contents, {"batch_size": "batch_size"}),
        "bias": False,
        "proj_bias": True,
        "mlp_type": "relu",
        "attn_scale": width**-0.5,
        "head_size": width // heads if width % heads else None,
    }
    document, config = checked_config(fields, file)

    def source_of(name: str) -> Source:
        if name.startswith("ln_f."):
            # the final norm is the last element of the sequence of blocks
            return Source((name.replace("ln_f", f"blocks.{config.n_layer}"),))
        if name.endswith(".sa.qkv.weight"):
            place = name.removesuffix("qkv.weight")
            return Source(
                tuple(
                    f"{place}heads.{head}.{role}.weight"
                    for role in _ROLES
                    for head in range(config.n_head)
                )
            )
        return Source((name.replace(".fwd.", ".ffwd."),))

    return Kind(
        document=document,
        config=config,
        sources=sources_of(config, source_of, tensors, file),
        training={"grad_clip": 0.0, "warmup_iters": 0.0},
        report=(
            "query, key and value of all heads are joined into one matrix per layer",
            "attention is scaled by n_embd ** -0.5, as in that program",
            _CONSTANT,
        ),
    )


def _bigram(contents: Mapping[str, Any], tensors: Mapping[str, Any], file: str) -> Kind:
    document, config = checked_config(bigram.bigram_fields(contents, file), file)
    return Kind(
        document=document,
        config=config,
        sources={},
        training={"grad_clip": 0.0, "warmup_iters": 0.0},
        built=bigram.bigram_tensors(tensors, config.vocab_size, file),
        report=(bigram.NOTE,),
    )


def _gpt2(
    contents: Mapping[str, Any], tensors: Mapping[str, Any], adapted: bool, file: str
) -> Kind:
    hyperparameters = contents["hyperparameters"]
    name = hyperparameters.get("gpt2_model_name")
    heads = _GPT2_HEADS.get(str(name))
    if heads is None:
        what = f"is {name!r}, which does not tell the number of attention heads"
        fix = f"correct it to one of {', '.join(_GPT2_HEADS)}"
        raise refuse(file, "hyperparameters/gpt2_model_name", what, fix)
    tied = not adapted
    fields = {
        "block_size": _rows(tensors, f"{_GPT2}wpe.weight", file),
        "vocab_size": number_of(contents, "vocab_size", file),
        "n_embd": _width(tensors, file),
        "n_head": heads,
        "n_layer": count_layers(tensors),
        "dropout": 0.1,  # GPT-2's own, which that program leaves as it is
        **known(contents, {"batch_size": "batch_size"}),
        "bias": True,
        "head_bias": False,
        "tie_weights": tied,
        "mlp_type": "gelu_tanh",
    }
    document, config = checked_config(fields, file)
    source_of = gpt2_source(_GPT2, _GPT2_HEAD, transposed=True)
    report = [f"{heads} attention heads, as {name} has", _CONSTANT]
    if adapted:
        report.append("the output matrix is no longer tied: its adapter is merged into it")
    return Kind(
        document=document,
        config=config,
        sources=sources_of(config, source_of, tensors, file),
        training={"grad_clip": 2.0 if adapted else 1.0},
        tied=(_GPT2_HEAD,) if tied else (),
        is_gpt2=True,
        report=tuple(report),
    )


def _rows(tensors: Mapping[str, Any], name: str, file: str) -> int:
    if name not in tensors or len(tensors[name].shape) != 2:
        raise refuse(file, name, "is missing, or no matrix", "restore the file")
    return int(tensors[name].shape[0])


def _width(tensors: Mapping[str, Any], file: str) -> int:
    """Give the width that most tensors have, so that one at fault is told from the others."""
    shapes = (
        tuple(tensor.shape)
        for name, tensor in tensors.items()
        if re.search(r"\.(wte|wpe|ln_1|ln_2|ln_f)\.", name)
    )
    widths = Counter(shape[-1] for shape in shapes if shape)
    if not widths:
        raise refuse(file, f"{_GPT2}wte.weight", "is missing", "restore the file")
    return int(widths.most_common(1)[0][0])
