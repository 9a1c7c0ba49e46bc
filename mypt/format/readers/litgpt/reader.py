"""Reader of litgpt's folders, and of the `lit_model.pth` in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import HEAD
from mypt.format.migrations.optimizer_moments import optimizer_settings
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.litgpt.layers import is_interleaved
from mypt.format.readers.litgpt.model_config import complete, convert_config
from mypt.format.readers.litgpt.tensor_names import ROOTS, WTE, make_lookup
from mypt.format.readers.litgpt.tokenizer_files import read_tokenizer
from mypt.format.readers.litgpt.yaml_document import read_yaml
from mypt.format.readers.shared.fields import make_unsupported_error
from mypt.format.readers.shared.optimizer import try_optimizer
from mypt.format.readers.shared.peek import peek_dict
from mypt.format.readers.shared.tensor_map import (
    find_sources,
    make_config,
    map_moments,
    map_tensors,
)
from mypt.format.readers.shared.tied_head import is_tied
from mypt.format.readers.shared.vocabulary import NO_TOKENIZER, TOKENIZER_OPTION, VERSION
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.storage import files
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.contract import Load
    from mypt.format.readers.shared.tensor_source import TensorSource

WEIGHTS, CONFIG = "lit_model.pth", "model_config.yaml"
# What only litgpt calls so.
_OWN = re.compile(r"(?:.*\.)?transformer\.h\.0\.attn\.(?:qkv|attn)\.weight")
_DECAY_RULE = "all"  # one group, as torch makes it


def recognises(path: Path) -> bool:
    """Return whether this is a folder of litgpt, or a file of weights that litgpt wrote.

    A damaged file counts where its name and the config beside it are litgpt's.
    """
    if files.is_folder(path):
        return files.is_present(path / WEIGHTS) and files.is_regular_file(path / CONFIG)
    if path.name == WEIGHTS and all(map(files.is_regular_file, (path, path.with_name(CONFIG)))):
        return True
    contents = peek_dict(path, ())
    if contents is None:
        return False
    named = contents.get("model", contents)
    return isinstance(named, dict) and any(
        isinstance(name, str) and _OWN.fullmatch(name) for name in named
    )


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read the model, its tokenizer, and its optimizer where a training run saved one.

    Raises:
        FormatError: It is damaged, has no config, or mypt's config cannot express the model.
    """
    weights = path / WEIGHTS if files.is_folder(path) else path
    file, settings = str(weights), weights.with_name(CONFIG)
    held = complete(_read_config(settings), str(settings))
    fields = convert_config(held, str(settings))
    contents = _open_weights(weights, load)
    named, taken_off = unwrap_names(_find_state_dict(contents, file), ROOTS, file)
    saved = contents.get("optimizer") if "model" in contents else None
    # litgpt never ties them: a model that is trained has two matrices, and moments of both
    tied = saved is None and is_tied(named, WTE, HEAD, dict.fromkeys(named, weights))
    document, config = make_config({**fields, "tie_weights": tied}, str(settings))
    rotates_neighbours = is_interleaved(held, str(settings)) and config.rope_pattern is None
    lookup = make_lookup(config, named, interleaved=rotates_neighbours)
    sources = find_sources(config, lookup, named, file)
    tensors = map_tensors(named, sources, config, file)
    found, flaws = try_optimizer(lambda: _read_optimizer(saved, named, sources, config, file), file)
    optimizer, used = (None, None) if found is None else found
    report = [f"read from {path.name}", *taken_off]
    tokenizer = None
    if options.get("tokenizer") == NO_TOKENIZER:
        report.append("opened without a tokenizer, as asked")
    else:
        tokenizer = read_tokenizer(weights.parent, config.vocab_size, report)
    return Checkpoint(
        version=FORMAT_VERSION,
        config=document,
        tokenizer=tokenizer,
        training_state=_convert_training_state(contents, used),
        tensors=tensors,
        optimizer=optimizer,
        report=tuple(report),
        flaws=flaws,
    )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return read_yaml(path, str(path))
    except FileNotFoundError as error:
        what = f"is missing: litgpt keeps the sizes of the model in it, beside {WEIGHTS}"
        fix = "copy it from the folder that litgpt wrote"
        raise FormatError(Problem(str(path), "", what, fix, kind="file.missing")) from error


def _open_weights(path: Path, load: Load) -> Mapping[str, Any]:
    file = str(path)
    if files.is_folder(path):
        what = "is a folder of shards, as litgpt saves them on several devices"
        fix = "make one file of them: litgpt convert_pretrained_checkpoint"
        raise make_unsupported_error(file, "", what, fix)
    contents = load(path)
    if not isinstance(contents, dict):
        what = "does not hold a state dict"
        raise FormatError(Problem(file, "", what, "restore the file", kind="tensor.missing"))
    return contents


def _find_state_dict(contents: Mapping[str, Any], file: str) -> Mapping[str, Any]:
    """Return the tensors of a file, which a training run wraps in a dict of more."""
    found = contents.get("model", contents)
    if isinstance(found, dict):
        for name, tensor in found.items():
            if not (isinstance(name, str) and hasattr(tensor, "dtype")):
                what = "is not a tensor"
                problem = Problem(file, f"{name!s:.100}", what, "restore the file", kind="tensor")
                raise FormatError(problem)
        return found
    what = "is not a state dict"
    raise FormatError(Problem(file, "model", what, "restore the file", kind="tensor.missing"))


def _read_optimizer(
    saved: Any,
    tensors: Mapping[str, Any],
    sources: Mapping[str, TensorSource],
    config: GPTConfig,
    file: str,
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the optimizer state by mypt's names, and its settings; None if there is none."""
    if saved is None:
        return None
    saved = _number_parameters(saved, tensors)
    moments = map_moments(saved, tensors, sources, tensors, config, rule=_DECAY_RULE, file=file)
    return moments, optimizer_settings(saved, file)


def _number_parameters(saved: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any]:
    """Return an optimizer state with numbers for parameters, also where FSDP saved their names.

    Raises:
        KeyError: It has a parameter that the model lacks.
    """
    groups = saved["param_groups"]
    if not any(isinstance(name, str) for group in groups for name in group["params"]):
        return saved
    numbers = {name: number for number, name in enumerate(names)}
    return {
        "state": {numbers[name]: state for name, state in saved["state"].items()},
        "param_groups": [
            {**group, "params": sorted(numbers[name] for name in group["params"])}
            for group in groups
        ],
    }


def _convert_training_state(
    contents: Mapping[str, Any], used: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return the training state; `used` are the settings of the optimizer, if there is one."""
    step = contents.get("step_count")
    if "model" not in contents or type(step) is not int:
        return None
    return {
        **VERSION,
        "step": step,
        "optimizer_file": None if used is None else files.OPTIMIZER,
        "training_config": {**(used or {}), "weight_decay_on": _DECAY_RULE},
        "exact": False,
        "inexact_reasons": ["begun in litgpt, which draws other batches"],
    }


OPTIONS = {"type": "object", "properties": {"tokenizer": TOKENIZER_OPTION}}
READER = ReaderFactory(
    "litgpt",
    recognises=recognises,
    read=read,
    options=OPTIONS,
    takes_infos=True,
)
