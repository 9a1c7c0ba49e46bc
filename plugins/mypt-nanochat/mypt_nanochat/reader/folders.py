"""Where nanochat keeps what belongs to one model.

BASE/base_checkpoints/d12/model_005000.pt          weights after step 5000
BASE/base_checkpoints/d12/meta_005000.json         sizes of the model
BASE/base_checkpoints/d12/optim_005000_rank0.pt    the optimizer, a file for each process
BASE/chatsft_checkpoints/d12/..., BASE/chatrl_checkpoints/d12/..., likewise after later stages
BASE/tokenizer/tokenizer.pkl                       the tokenizer of all models
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


def choose_model(path: Path, wanted: str | None, step: int | None) -> ModelFiles:
    """Return the files of the model at a path, at its last step or another one.

    Args:
        path: A file of weights, the folder of a model, or one above several models.
        wanted: Which of several models, as a path within the folder.
        step: After which step; None for the last.

    Raises:
        FormatError: There are several models, and none is chosen; or it has no such step.
    """
    steps: dict[Path, dict[int, ModelFiles]] = {}
    for found in _list_models(path):
        steps.setdefault(found.weights.parent, {})[found.step] = found
    if path.is_file():
        chosen = path.parent
    elif wanted is not None and path / wanted in steps:
        chosen = path / wanted
    elif wanted is None and len(steps) == 1:
        (chosen,) = steps
    else:
        names = [folder.relative_to(path).as_posix() for folder in steps]
        what = f"holds {len(steps)} models: {', '.join(names)}"
        raise missing_option(str(path), what, *(f"model={name}" for name in names))
    held = steps[chosen]
    if step is not None and step not in held:
        what = f"has steps {', '.join(map(str, held))}, and not {step}"
        raise missing_option(str(chosen), what, *(f"step={one}" for one in held))
    return held[max(held) if step is None else step]


def unwrap_names(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors under the names that they have in a model that is not compiled."""
    return {name.removeprefix(_COMPILED): value for name, value in tensors.items()}


def _list_models(path: Path) -> Iterator[ModelFiles]:
    """Yield the models at a path, those of one folder by step."""
    if path.is_file():
        found = _MODEL.fullmatch(path.name)
        yield ModelFiles(path, int(found[1]) if found else 0)
        return
    within = "*/" if path.absolute().name.endswith("_checkpoints") else "*_checkpoints/*/"
    for folder in (path, *sorted(path.glob(within))):
        steps = [(_MODEL.fullmatch(file.name), file) for file in folder.glob("model_*.pt")]
        by_step = sorted((int(found[1]), file) for found, file in steps if found)
        yield from (ModelFiles(file, step) for step, file in by_step)


def _is_of_nanochat(weights: Path) -> bool:
    return any(
        peek_dict(weights, [prefix + name for name in _KNOWN]) is not None
        for prefix in ("", _COMPILED)
    )
