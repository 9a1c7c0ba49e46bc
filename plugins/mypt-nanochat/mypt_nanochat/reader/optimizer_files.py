"""The state of nanochat's optimizer: a file for each process of the run, which has a part of it.

optim_005000_rank0.pt    what the first process keeps after step 5000
optim_005000_rank1.pt    what the second keeps

AdamW's moments of larger parameters are cut by rows. Muon's are stacked by shape, and the stack is
cut; they are kept at the first parameter of the stack.

Source: `optim.py` and `setup_optimizer` of nanochat's commit 92d63d4.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.plugins import FormatError, Problem, TensorInfo, TrainingConfig
from mypt_nanochat.optimizer.groups import ADAMW, MATRICES, NAME, list_groups, name_square

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mypt_nanochat.reader.folders import ModelFiles
    from mypt_nanochat.reader.model import Source

    Shape = tuple[int, ...]

_FIX = "restore all files of the step, or train from the weights alone with --init_from_model"
_WHOLE = 1024  # parameters with fewer values are not cut
# By kind, nanochat's names of what AdamW trains; value embeddings are of some layers.
_NAMES = {
    "unembedding": ("lm_head.weight",),
    "embedding": ("transformer.wte.weight",),
    "value_embedding": (),
    "residual": ("resid_lambdas",),
    "first": ("x0_lambdas",),
    "scalars": ("smear_gate.weight", "smear_lambda", "backout_lambda"),
}
# nanochat's order of the matrices of a layer.
_MATRICES = (
    "attn.c_q",
    "attn.c_k",
    "attn.c_v",
    "attn.c_proj",
    "attn.ve_gate",
    "mlp.c_fc",
    "mlp.c_proj",
)


@frozen
class SavedOptimizer:
    """The state of the optimizer in mypt's terms.

    Attributes:
        document: The content of an `optimizer.pt`.
        training: Fields of a training config with which the optimizer goes on.
        notes: What is otherwise than in nanochat, one line each.
    """

    document: dict[str, Any]
    training: dict[str, Any]
    notes: tuple[str, ...]


def list_shards(files: ModelFiles) -> list[Path]:
    """Return the files of a step's optimizer state, by process; none if there is no such state."""
    stem = f"optim_{files.weights.stem.removeprefix('model_')}_rank"
    name = re.compile(rf"{re.escape(stem)}([0-9]+)\.pt")
    found = [(name.fullmatch(file.name), file) for file in files.weights.parent.glob(f"{stem}*.pt")]
    return [file for _, file in sorted((int(one[1]), file) for one, file in found if one)]


def read_optimizer(
    paths: Sequence[Path],
    load: Callable[[Path], Any],
    sources: Mapping[str, Source],
    weights: Mapping[str, Any],
) -> SavedOptimizer:
    """Put the parts of an optimizer state together.

    Args:
        paths: The files, by process.
        load: Reads a file.
        sources: Where mypt's tensors come from, by name.
        weights: nanochat's tensors.

    Raises:
        FormatError: A file is missing, or is not of this model or this version of nanochat.
    """
    shards = [_check_shard(load(path), str(path)) for path in paths]
    shapes = {
        n: s
        for source in sources.values()
        for n, s in zip(source.names, source.shapes, strict=True)
    }
    state = _State([shard["state"] for shard in shards], [str(path) for path in paths])
    listed = list(_list_groups(shapes))
    groups = _check_groups(shards[0]["param_groups"], listed, str(paths[0]))
    kept: dict[str, dict[str, Any]] = {}
    for group, (kind, names) in zip(groups, listed, strict=True):
        take = state.take_matrices if kind == MATRICES else state.take_moments
        kept |= take(group["params"], names, shapes)
    tensors = {name: source.take(weights) for name, source in sources.items()}
    return _convert(groups, listed, kept, sources, tensors, weights)


def _check_shard(held: Any, file: str) -> Mapping[str, Any]:
    match held:
        case {"state": dict(), "param_groups": [*_]}:
            return dict(held)
    raise _make_error(file, "", "is not the state of an optimizer")


def _list_groups(shapes: Mapping[str, Shape]) -> Iterator[tuple[str, list[str]]]:
    """Yield the kind and nanochat's names of each of its groups, in its order."""
    layers = sorted(
        {int(name.split(".")[2]) for name in shapes if name.startswith("transformer.h.")}
    )
    values = [name for n in layers if (name := f"value_embeds.{n}.weight") in shapes]
    for kind, names in {**_NAMES, "value_embedding": values}.items():
        yield kind, [*names]
    matrices = [
        name
        for number in layers
        for part in _MATRICES
        if (name := f"transformer.h.{number}.{part}.weight") in shapes
    ]
    for shape in sorted({shapes[name] for name in matrices}):
        yield MATRICES, [name for name in matrices if shapes[name] == shape]


def _check_groups(
    groups: Sequence[Any], listed: Sequence[tuple[str, list[str]]], file: str
) -> list[dict[str, Any]]:
    """Return the groups if they are those of this version: kinds, sizes and settings."""
    wanted = [("muon" if kind == MATRICES else "adamw", len(names)) for kind, names in listed]
    try:
        found = [(group["kind"], len(group["params"])) for group in groups]
        checked = [_read_settings(group) for group in groups]
    except (KeyError, TypeError, ValueError) as error:
        what = f"has a group without the settings of one ({type(error).__name__}: {error})"
        raise _make_error(file, "/param_groups", what) from error
    if found != wanted:
        what = f"has groups of {found}, and this model has {wanted}"
        raise _make_error(file, "/param_groups", what)
    muon = [{**group, "params": None} for group in checked if group["kind"] == "muon"]
    if any(group != muon[0] for group in muon):
        raise _make_error(file, "/param_groups", "has other settings for some of the matrices")
    return checked


def _read_settings(group: Mapping[str, Any]) -> dict[str, Any]:
    rate = _to_number(group["lr"])
    common = {"kind": group["kind"], "params": [int(index) for index in group["params"]]}
    common |= {
        "lr": rate,
        "initial_lr": _to_number(group.get("initial_lr", rate)),
        "weight_decay": _to_number(group["weight_decay"]),
    }
    if group["kind"] == "muon":
        decays = {name: _to_decay(group[name]) for name in ("momentum", "beta2")}
        iterations = int(group["ns_steps"])
        if not 1 <= iterations <= 5:
            what = f"{iterations} iterations"
            raise ValueError(what)
        return {**common, **decays, "iterations": iterations}
    beta1, beta2 = map(_to_decay, group["betas"])
    return {**common, "beta1": beta1, "beta2": beta2, "eps": _to_number(group["eps"])}


def _to_number(value: Any) -> float:
    number = float(value)
    if not 0 <= number < math.inf:
        what = f"{number} in the place of a positive number"
        raise ValueError(what)
    return number


def _to_decay(value: Any) -> float:
    number = _to_number(value)
    if number >= 1:
        what = f"{number} in the place of a number below 1"
        raise ValueError(what)
    return number


@frozen
class _State:
    """What all processes keep, by the indices of parameters.

    Attributes:
        parts: By process.
        files: Their names, for messages.
    """

    parts: Sequence[Mapping[int, Any]]
    files: Sequence[str]

    def take_moments(
        self, indices: Sequence[int], names: Sequence[str], shapes: Mapping[str, Shape]
    ) -> dict[str, dict[str, Any]]:
        """Return what AdamW keeps, by nanochat's names."""
        return {
            name: {
                "step": self._find(0, index, "step", name),
                **{
                    key: self._join(index, key, name, shapes[name])
                    for key in ("exp_avg", "exp_avg_sq")
                },
            }
            for index, name in zip(indices, names, strict=True)
        }

    def take_matrices(
        self, indices: Sequence[int], names: Sequence[str], shapes: Mapping[str, Shape]
    ) -> dict[str, dict[str, Any]]:
        """Return what Muon keeps of matrices of one shape, by nanochat's names."""
        rows, columns = shapes[names[0]]
        square = (rows, 1) if rows >= columns else (1, columns)
        size = -(-len(names) // len(self.parts))
        found: dict[str, dict[str, Any]] = {}
        for place, name in enumerate(names):
            part, row = divmod(place, size)
            found[name] = {}
            for key, shape in (
                ("momentum_buffer", (rows, columns)),
                ("second_momentum_buffer", square),
            ):
                stack = self._find(part, indices[0], key, name)
                self._check_shape(stack, (size, *shape), part, name)
                found[name][key] = _pick(stack, row)
        return found

    def _join(self, index: int, key: str, name: str, shape: Shape) -> Any:
        count, size = len(self.parts), 1
        for length in shape:
            size *= length
        if count == 1 or size < _WHOLE:
            whole = self._find(0, index, key, name)
            self._check_shape(whole, shape, 0, name)
            return whole
        pieces = [self._find(part, index, key, name) for part in range(count)]
        for part, piece in enumerate(pieces):
            self._check_shape(piece, (shape[0] // count, *shape[1:]), part, name)
        if isinstance(pieces[0], TensorInfo):
            return pieces[0].with_shape(shape, "joined")
        import torch

        return torch.cat(pieces)

    def _find(self, part: int, index: int, key: str, name: str) -> Any:
        entry = self.parts[part].get(index)
        if not isinstance(entry, dict) or key not in entry:
            raise _make_error(self.files[part], name, f"has no `{key}`")
        value = entry[key]
        if (type(value) is not int) if key == "step" else not hasattr(value, "shape"):
            raise _make_error(self.files[part], name, f"has something else for `{key}`")
        return value

    def _check_shape(self, held: Any, shape: Shape, part: int, name: str) -> None:
        if tuple(held.shape) != shape:
            count = len(self.files)
            what = f"has shape {tuple(held.shape)}, not {shape}, as one of {count} processes keeps"
            raise _make_error(self.files[part], name, what)


def _pick(stack: Any, row: int) -> Any:
    if isinstance(stack, TensorInfo):
        return stack.with_shape(tuple(stack.shape[1:]), f"matrix {row} of")
    return stack[row]


def _convert(
    groups: Sequence[Mapping[str, Any]],
    listed: Sequence[tuple[str, list[str]]],
    kept: Mapping[str, Mapping[str, Any]],
    sources: Mapping[str, Source],
    tensors: Mapping[str, Any],
    weights: Mapping[str, Any],
) -> SavedOptimizer:
    by_kind = {kind: group for group, (kind, _) in zip(groups, listed, strict=True)}
    muon = by_kind[MATRICES]
    is_bf16 = str(weights["transformer.wte.weight"].dtype).endswith("bfloat16")
    training = {
        "optimizer": NAME,
        "optimizer_options": _make_options(by_kind, "bfloat16" if is_bf16 else "float32"),
        "learning_rate": muon["initial_lr"],
        "weight_decay": muon["weight_decay"],
        "grad_clip": 0.0,
        "use_amp": is_bf16,
    }
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    state = {name: _convert_entry(source, kept) for name, source in sources.items()}
    param_groups = [
        {
            **group.settings,
            "lr": by_kind[group.settings["name"]]["lr"],
            "initial_lr": group.settings["lr"],
            "params": [*group.names],
        }
        for group in list_groups(shapes, TrainingConfig(**training))
    ]
    last = f"{muon['momentum']:g} and {muon['weight_decay']:g}"
    notes = [
        f"momentum and weight decay of the matrices stay as nanochat had them last ({last}), and "
        "learning rates follow mypt's schedule: nanochat changes all three from step to step"
    ]
    if is_bf16:
        notes.append("nanochat rounds embeddings to bfloat16 after each update; mypt does not")
    document = {"optimizer": NAME, "state": state, "param_groups": param_groups}
    return SavedOptimizer(document, training, tuple(notes))


def _make_options(by_kind: Mapping[str, Mapping[str, Any]], precision: str) -> dict[str, Any]:
    names = ("beta1", "beta2", "eps", "weight_decay")
    options: dict[str, Any] = {
        kind: {
            "learning_rate": by_kind[kind]["initial_lr"],
            **{name: by_kind[kind][name] for name in names},
        }
        for kind in ADAMW
    }
    own = {name: by_kind[MATRICES][name] for name in ("momentum", "beta2", "iterations")}
    return {**options, MATRICES: own, "precision": precision}


def _convert_entry(source: Source, kept: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is kept for one of mypt's tensors."""
    held = [kept[name] for name in source.names]
    if "step" in held[0]:
        moments = {
            key: source.take({n: kept[n][key] for n in source.names})
            for key in ("exp_avg", "exp_avg_sq")
        }
        return {"step": held[0]["step"], **moments}
    momentum = source.take({name: kept[name]["momentum_buffer"] for name in source.names})
    squares = {name_square(n): one["second_momentum_buffer"] for n, one in enumerate(held)}
    return {"momentum": momentum, **squares}


def _make_error(file: str, where: str, what: str) -> FormatError:
    return FormatError(Problem(file, where, what, _FIX, kind="nanochat.optimizer"))
