"""nanoGPT's `model_args`, expressed in mypt's config.

Source: the history of nanoGPT's `model.py` from December 2022 on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.tokenizer import GPT2_VOCAB_SIZE
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import HEAD
from mypt.format.readers.foreign_model import ForeignModel
from mypt.format.readers.shared.fields import require_bool, require_positive_int
from mypt.format.readers.shared.gpt2_names import make_gpt2_lookup
from mypt.format.readers.shared.known_keys import KnownKeys
from mypt.format.readers.shared.tensor_map import find_sources, make_config, map_tensors
from mypt.format.readers.shared.tied_head import describe_untied, is_tied

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


ROOTS = ("transformer.wte.", "transformer.wpe.", "transformer.h.", "transformer.ln_f.", "lm_head.")
_EMBEDDING = "transformer.wte.weight"
DROPOUT_NOTE = "nanoGPT also applies dropout to embeddings in training; mypt does not"
_SIZES = ("block_size", "vocab_size", "n_embd", "n_head", "n_layer")
# What nanoGPT gives to its GPTConfig: all of it shapes the model, so nothing else is let pass.
KEYS = KnownKeys(read=frozenset({*_SIZES, "bias", "dropout"}))
# The class's own defaults: before the flag `bias` (27 January 2023) a file could lack vocab_size.
_DEFAULTS = {"bias": True, "dropout": 0.0}
_EARLY_DEFAULTS = {"bias": True, "dropout": 0.1, "vocab_size": GPT2_VOCAB_SIZE}
_EXACT, _TANH = "gelu", "gelu_tanh"
ACTIVATION_OPTION = {
    "enum": [_EXACT, _TANH],
    "description": "The GELU of the model: gelu_tanh for nanoGPT of before May 2023.",
}


def convert_model(
    fields: Mapping[str, Any], tensors: Mapping[str, Any], path: Path
) -> ForeignModel:
    """Return the model; its head is tied unless another one is stored.

    Args:
        fields: Fields of mypt's config, but for `tie_weights`.
        tensors: The tensors in the file, without wrappers and masks, or their descriptions.
        path: The file.

    Raises:
        FormatError: The config is invalid, or the tensors do not fit it.
    """
    file = str(path)
    tied = is_tied(tensors, _EMBEDDING, HEAD, dict.fromkeys(tensors, path))
    document, config = make_config({**fields, "tie_weights": tied}, file)
    lookup = make_gpt2_lookup("transformer.", HEAD, transposed=False)
    sources = find_sources(config, lookup, tensors, file)
    return ForeignModel(
        document=document,
        config=config,
        sources=sources,
        held={name: t for name, t in tensors.items() if name != HEAD or not tied},
        tensors=map_tensors(tensors, sources, config, file),
        remarks=() if tied else (describe_untied(_EMBEDDING, HEAD),),
    )


def is_early(args: Mapping[str, Any]) -> bool:
    """Return whether `model_args` are those of before 27 January 2023, which have no `bias`."""
    return "bias" not in args


def convert_model_args(args: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the fields of mypt's config, but for the activation and whether the head is tied.

    Args:
        args: The `model_args`, whose keys are known.
        file: Name of the file, for messages.

    Raises:
        FormatError: A field is missing, or is not what it must be.
    """
    given = {**(_EARLY_DEFAULTS if is_early(args) else _DEFAULTS), **args}
    bias = require_bool(given, "bias", file)
    return {
        **{name: require_positive_int(given, name, file) for name in _SIZES},
        "dropout": given["dropout"] or 0.0,
        "bias": bias,
        "mlp_bias": bias,
        "norm_bias": bias,
        "head_bias": False,
    }


def choose_activation(
    decided: str | None, tensors: Mapping[str, Any], optimizer: Any, options: Mapping[str, Any]
) -> tuple[str, tuple[str, ...]]:
    """Return the model's `mlp_type`, and remarks on how sure it is.

    nanoGPT's GELU was the tanh form until May 2023 and has been the exact one since; no file names
    it. They differ by about 1e-3 in the logits.

    Args:
        decided: The one that the file's age decides, or None.
        tensors: The tensors in the file, without wrappers and masks.
        optimizer: The optimizer state in the file, of any form.
        options: The options that were given.
    """
    if decided is not None:
        return decided, ()
    if "activation" in options:
        return options["activation"], ()
    if _is_grouped_by_module(optimizer, tensors):
        why = "its optimizer state is grouped as nanoGPT's was until 6 May 2023"
        return _TANH, (_describe_doubt(why, _TANH, _EXACT),)
    why = "the file does not tell whether it is older than that"
    return _EXACT, (_describe_doubt(why, _EXACT, _TANH),)


def decide_activation(args: Mapping[str, Any], options: Mapping[str, Any], file: str) -> str | None:
    """Return the activation if the `model_args` of nanoGPT's own file decide it, else None.

    Raises:
        FormatError: The user says another one.
    """
    if not is_early(args):
        return None
    if options.get("activation", _TANH) != _TANH:
        what = f"is {_TANH}: the model_args have no `bias`, so it is older than 27 January 2023"
        raise FormatError(Problem(file, "activation", what, "leave the option out"))
    return _TANH


def _describe_doubt(why: str, chosen: str, other: str) -> str:
    return (
        f"nanoGPT computed the tanh form of GELU until May 2023, and {why}: {chosen} is assumed; "
        f"if the model has {other}, say so with --option activation={other}"
    )


def _is_grouped_by_module(optimizer: Any, tensors: Mapping[str, Any]) -> bool:
    """Return whether the first group holds the matrices of linear layers, not the embeddings."""
    match optimizer:
        case {"param_groups": [{"params": [*first]}, {"params": [*_]}]}:
            linear = [
                name
                for name, tensor in tensors.items()
                if name.startswith("transformer.h.") and len(tensor.shape) == 2
            ]
            return len(first) in (len(linear), len(linear) + (HEAD in tensors))
        case _:
            return False
