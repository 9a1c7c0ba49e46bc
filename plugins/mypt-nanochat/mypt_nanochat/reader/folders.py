"""Where nanochat keeps what belongs to one model.

BASE/base_checkpoints/d12/model_005000.pt    weights after step 5000
BASE/base_checkpoints/d12/meta_005000.json   sizes of the model
BASE/tokenizer/tokenizer.pkl                 the tokenizer of all models
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.plugins import missing_option, peek_dict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKENIZER = Path("tokenizer", "tokenizer.pkl")
_MODEL = re.compile(r"model_([0-9]+)\.pt")
_COMPILED = "_orig_mod."  # what torch.compile puts before the names of tensors
# Among nanochat's tensors in every version, and with these names in no other program's.
_KNOWN = ("transformer.wte.weight", "transformer.h.0.attn.c_q.weight", "lm_head.weight")


@frozen
class ModelFiles:
    """The files of one model at one step.

    Attributes:
        weights: The tensors.
        step: Number of updates done.
    """

    weights: Path
    step: int

    @property
    def meta(self) -> Path:
        """The document with its sizes."""
        return self.weights.with_name(f"meta_{self.weights.stem.removeprefix('model_')}.json")

    @property
    def tokenizer(self) -> Path:
        """The tokenizer in the folder of all models."""
        return self.weights.absolute().parent.parent.parent / TOKENIZER


def recognises(path: Path) -> bool:
    """Return whether a file or folder holds a model of nanochat."""
    try:
        return any(_is_of_nanochat(found.weights) for found in _list_models(path))
    except OSError:
        return False


def choose_model(path: Path, wanted: str | None) -> ModelFiles:
    """Return the files of the model at a path, at its last step.

    Args:
        path: A file of weights, the folder of a model, or the one above all models.
        wanted: Which of several models, as a path within the folder.

    Raises:
        FormatError: There are several models, and none is chosen.
    """
    models = {found.weights.parent: found for found in _list_models(path)}
    if path.is_file():
        return models[path.parent]
    if wanted is not None and path / wanted in models:
        return models[path / wanted]
    if wanted is not None or len(models) != 1:
        names = [folder.relative_to(path).as_posix() for folder in models]
        what = f"holds {len(models)} models: {', '.join(names)}"
        raise missing_option(str(path), what, *(f"model={name}" for name in names))
    return next(iter(models.values()))


def unwrap_names(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors under the names that they have in a model that is not compiled."""
    return {name.removeprefix(_COMPILED): value for name, value in tensors.items()}


def _list_models(path: Path) -> Iterator[ModelFiles]:
    """Yield the models at a path, those of one folder by step."""
    if path.is_file():
        found = _MODEL.fullmatch(path.name)
        yield ModelFiles(path, int(found[1]) if found else 0)
        return
    for folder in (path, *sorted(path.glob("*_checkpoints/*/"))):
        steps = [(_MODEL.fullmatch(file.name), file) for file in folder.glob("model_*.pt")]
        by_step = sorted((int(found[1]), file) for found, file in steps if found)
        yield from (ModelFiles(file, step) for step, file in by_step)


def _is_of_nanochat(weights: Path) -> bool:
    return any(
        peek_dict(weights, [prefix + name for name in _KNOWN]) is not None
        for prefix in ("", _COMPILED)
    )
