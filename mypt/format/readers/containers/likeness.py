"""The option `like`: a config that says of which model the tensors in a file are.

It is mypt's `config.json`, that of Hugging Face, or nanoGPT's `model_args` as JSON; its content
decides which, and by that how the tensors are called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.format.layout import BUILT_IN, EMBEDDING, HEAD, expected_tensors
from mypt.format.readers import mypt_file, nanogpt_model
from mypt.format.readers.foreign_model import ForeignModel
from mypt.format.readers.hugging_face import model as hugging_face
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.fields import make_unsupported_error
from mypt.format.readers.shared.gpt2_names import drop_masks
from mypt.format.readers.shared.known_keys import check_keys
from mypt.format.readers.shared.tensor_map import make_config, map_tensors
from mypt.format.readers.shared.tensor_source import TensorSource
from mypt.format.readers.shared.tied_head import describe_untied, is_tied
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # From the tensors in the file and the file of each, and the name of what holds them.
    Convert = Callable[[Mapping[str, Any], Mapping[str, Path], str], ForeignModel]

LIKE_OPTION = {
    "type": "string",
    "description": "Path of a config that says the architecture: mypt's or Hugging Face's "
    "config.json, or nanoGPT's model_args as JSON.",
}
ASK_FOR_LIKE = f"like={files.CONFIG}"


@frozen
class Likeness:
    """What a config says of a model.

    Attributes:
        program: The program whose config it is.
        convert: Makes the model of tensors.
    """

    program: str
    convert: Convert


def read_likeness(path: Path, options: Mapping[str, Any]) -> Likeness:
    """Return what a config says.

    Args:
        path: The file, or its folder.
        options: Those of the reader: `activation` may be nanoGPT's.

    Raises:
        FormatError: It is no JSON, or of none of the programs.
    """
    path = path / files.CONFIG if files.is_folder(path) else path
    file = str(path)
    try:
        document, _ = files.read_document(path, file)
    except OSError as error:
        raise missing_option(file, f"cannot be read: {error.strerror}", ASK_FOR_LIKE) from error
    likeness = interpret_config(document, options, file)
    if likeness is None:
        what = "is neither a config.json of mypt or Hugging Face nor the model_args of nanoGPT"
        raise make_unsupported_error(file, "", what, "name one of these")
    return likeness


def interpret_config(
    document: Mapping[str, Any], options: Mapping[str, Any], file: str
) -> Likeness | None:
    """Return what a config says; None if it is of none of the programs.

    Args:
        document: The config.
        options: Those of the reader: `activation` may be nanoGPT's.
        file: Name of the file that holds it, for messages.

    Raises:
        FormatError: It is nanoGPT's, and has a key that is not known.
    """
    if "format_version" in document:
        return Likeness("mypt", lambda *found: _convert_own(document, file, *found))
    if isinstance(document.get("model_type"), str):
        return Likeness("transformers", lambda *found: _convert_family(document, file, *found))
    args = document.get("model_args", document)
    if isinstance(args, dict) and {"n_layer", "n_head", "n_embd"} <= args.keys():
        check_keys(args, nanogpt_model.KEYS, file)
        return make_nanogpt_likeness(args, options, file)
    return None


def make_nanogpt_likeness(
    args: Mapping[str, Any], options: Mapping[str, Any], file: str
) -> Likeness:
    """Return what nanoGPT's `model_args` say, or what a module was given in their place.

    Args:
        args: Sizes, `bias` and `dropout`; other keys are not looked at.
        options: Those of the reader, with `activation`.
        file: Name of the file they are from, for messages.
    """

    def convert(tensors: Mapping[str, Any], places: Mapping[str, Path], where: str) -> ForeignModel:
        named, taken_off = unwrap_names(tensors, nanogpt_model.ROOTS, where)
        held = drop_masks(named)
        decided = nanogpt_model.decide_activation({"bias": True, **args}, options, file)
        activation, doubts = nanogpt_model.choose_activation(decided, held, None, options)
        known = {name: args[name] for name in nanogpt_model.KEYS.read if name in args}
        fields = nanogpt_model.convert_model_args({"bias": True, **known}, file)
        place = next(iter(places.values()), Path(where))
        model = nanogpt_model.convert_model({**fields, "mlp_type": activation}, held, place)
        notes = (nanogpt_model.DROPOUT_NOTE,) if model.config.dropout else ()
        return evolve(model, report=(*taken_off, *notes), remarks=(*model.remarks, *doubts))

    return Likeness("nanoGPT", convert)


def _convert_family(
    document: Mapping[str, Any],
    file: str,
    tensors: Mapping[str, Any],
    places: Mapping[str, Path],
    where: str,
) -> ForeignModel:
    return hugging_face.convert_model(document, tensors, places, config_file=file, file=where)


def _convert_own(
    document: Mapping[str, Any],
    file: str,
    tensors: Mapping[str, Any],
    places: Mapping[str, Path],
    where: str,
) -> ForeignModel:
    named, taken_off = unwrap_names(tensors, mypt_file.ROOTS, where)
    fields, config = make_config(document, file)
    remarks = []
    if config.tie_weights:
        files_of, _ = unwrap_names(places, mypt_file.ROOTS, where)
        if not is_tied(named, EMBEDDING, HEAD, files_of):
            fields, config = make_config({**document, "tie_weights": False}, file)
            remarks = [describe_untied(EMBEDDING, HEAD)]
    tied = config.tie_weights
    held = {name: tensor for name, tensor in named.items() if name != HEAD or not tied}
    sources = {name: TensorSource((name,)) for name in expected_tensors(config, BUILT_IN)}
    if tied:
        sources[HEAD] = sources[EMBEDDING]
    return ForeignModel(
        document=fields,
        config=config,
        sources=sources,
        held=held,
        tensors=map_tensors(held, sources, config, where),
        report=taken_off,
        remarks=tuple(remarks),
    )
