"""What a resume does otherwise than the run that saved an optimizer state: warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import Problem, format_count, limit_problems
from mypt.format.optimizers.adamw import NAME
from mypt.format.optimizers.parameter_rules import decays, is_frozen
from mypt.format.optimizers.weight_mean import KEY
from mypt.format.rules.optimizers.kinds import ENTRY, OTHER, SETTINGS, UNKNOWN
from mypt.format.rules.optimizers.state import is_finite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.format.documents.convert import Document
    from mypt.format.optimizers.declaration import Declaration, ParameterInfo

_MOST_NAMES = 3
_COMPARED = (
    *("beta1", "beta2", "ema", "freeze_embeddings", "freeze_layers", "optimizer"),
    *("weight_decay", "weight_decay_on"),
)


def doubt_problems(
    contents: Mapping[str, Any],
    parameters: Mapping[str, ParameterInfo],
    declaration: Declaration | None,
    state: Document,
    file: str,
) -> list[Problem]:
    """Return warnings of what a resume does otherwise than the run that was saved.

    Args:
        contents: The contents of `optimizer.pt` without `optimizer_problems`.
        parameters: The model's parameters by name; a tied head is not among them.
        declaration: What the optimizer that the contents name keeps; None where nobody here knows.
        state: Fields of `training_state.json`.
        file: Name of the file, for messages.
    """
    training = _training_of(state)
    was, now = contents["optimizer"], training["optimizer"]
    if was != now:
        what = f"is of {was}, but training_config says {now}: what does not fit that begins anew"
        fix = f'set `optimizer` in training_state.json back to "{was}", or remove {_name(file)}'
        return [Problem(file, "optimizer", what, fix, kind=OTHER, severity="warning")]
    problems = []
    lacking = [
        name
        for group in contents["param_groups"]
        for name in group["params"]
        if name not in contents["state"]
        and not is_frozen(name, training["freeze_layers"], training["freeze_embeddings"])
        and declaration is not None
        and declaration.state(parameters[name], group)
    ]
    if lacking and state["step"]:
        names = ", ".join(lacking[:_MOST_NAMES]) + (", ..." if len(lacking) > _MOST_NAMES else "")
        kept = "moments" if was == NAME else "state"
        what = f"has no {kept} of {format_count(len(lacking), 'parameter')} ({names})"
        fix = "restore it, unless they were not trained so far: they begin anew"
        problems.append(Problem(file, "state", what, fix, kind=ENTRY, severity="warning"))
    if training["ema"]:
        problems += _mean_problems(contents["state"], file)
    if was != NAME:
        return problems
    settings = _setting_problems(contents["param_groups"], parameters, training, file)
    return problems + limit_problems(settings)


def _mean_problems(state: Mapping[str, Mapping[str, Any]], file: str) -> list[Problem]:
    """Return a warning where a run keeps a mean of its weights, and the state lacks it."""
    lacking = [name for name, entry in state.items() if KEY not in entry]
    if not lacking:
        return []
    what = f"has no mean of {format_count(len(lacking), 'parameter')} ({lacking[0]}, ...)"
    fix = "restore it, or the mean begins anew with the weights as they are"
    return [Problem(file, "state", what, fix, kind=ENTRY, severity="warning")]


def unknown_problem(optimizer: str, packages: Iterable[str], file: str) -> Problem:
    """Return the warning that no plugin here says what an optimizer keeps.

    Args:
        optimizer: Its name, as the contents of `optimizer.pt` have it.
        packages: Those that the manifest says training needs.
        file: Name of the file, for messages.
    """
    what = f'is "{optimizer}", which no installed plugin offers: what it keeps is not checked'
    named = " or ".join(packages) or "the plugin that brings it"
    fix = f"install {named} to go on with the training; nothing else needs it"
    return Problem(file, "optimizer", what, fix, kind=UNKNOWN, severity="warning")


def _training_of(state: Document) -> Document:
    """Return the hyperparameters that a state is compared with, with defaults for absent ones."""
    given: Document = state.get("training_config", {})
    if all(name in given for name in _COMPARED):
        return given
    from mypt.format.documents.training import TrainingConfig  # mypt leaves none of them out

    defaults = TrainingConfig()
    return {name: given.get(name, getattr(defaults, name)) for name in _COMPARED}


def _setting_problems(
    groups: list[Mapping[str, Any]],
    parameters: Mapping[str, ParameterInfo],
    training: Document,
    file: str,
) -> Iterator[Problem]:
    """Compare the settings of AdamW's last update with those that a resume would use."""
    fix = "edit training_state.json if a resume should use those of the optimizer"
    for number, group in enumerate(groups):
        wanted: list[tuple[str, object]] = [("betas", (training["beta1"], training["beta2"]))]
        rule, decay = training["weight_decay_on"], training["weight_decay"]
        of_names = (decays(name, len(parameters[name].shape), rule) for name in group["params"])
        wanted += [("weight_decay", decay if is_on else 0.0) for is_on in dict.fromkeys(of_names)]
        used = {"betas": tuple(group["betas"]), "weight_decay": group["weight_decay"]}
        for key, value in wanted:
            if used[key] != value:
                what = f"was used with {key} {used[key]}, but training_config says {value}"
                where = f"param_groups.{number}.{key}"
                yield Problem(file, where, what, fix, kind=SETTINGS, severity="warning")
    apart = [group for group in groups if "initial_lr" not in group]
    rates: set[float] = {group["lr"] for group in apart if is_finite(group["lr"])}
    if len(rates) > 1:
        what = f"was used with learning rates of {' and '.join(map(str, sorted(rates)))}"
        what += ", of which a resume makes one: no `initial_lr` names their peaks"
        fix = "add it to each group if the rates should stay apart"
        yield Problem(file, "param_groups", what, fix, kind=SETTINGS, severity="warning")


def _name(file: str) -> str:
    return file.rpartition("/")[2]
