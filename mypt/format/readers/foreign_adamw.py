"""An AdamW state of torch beside a model of another program, taken over exactly or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from mypt.format.errors import FormatError, Problem
from mypt.format.migrations.optimizer_moments import optimizer_settings
from mypt.format.optimizers.adamw import MOMENTS
from mypt.format.readers.shared.optimizer import FIX
from mypt.format.readers.shared.tensor_map import map_moments
from mypt.format.rules.optimizers.kinds import ALGORITHM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypt.format.readers.foreign_model import ForeignModel

_STATE = "the optimizer state"
# What torch's AdamW has in a group, of any release; `initial_lr` is of a schedule.
_SETTINGS = frozenset(
    {
        *("params", "param_names", "lr", "initial_lr", "betas", "eps", "weight_decay"),
        *("amsgrad", "maximize", "foreach", "capturable", "differentiable", "fused"),
        "decoupled_weight_decay",
    }
)


def take_adamw(
    saved: Mapping[str, Any],
    model: ForeignModel,
    order: Iterable[str],
    *,
    rule: str,
    file: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an AdamW state by mypt's names, and its settings as fields of `training_config`.

    The learning rate among them is that at the height of its schedule.

    Args:
        saved: What `state_dict` of the optimizer returned, with tensors or descriptions of them.
        model: The model that it trained.
        order: Names of all parameters of the model, in the order of the program's class.
        rule: Which of them weight decay applies to, as `parameter_rules.decays` takes it.
        file: Name of the file, for messages.

    Raises:
        FormatError: It is of another algorithm, or not of this model.
    """
    _check_algorithm(saved, file)
    moments = map_moments(
        saved,
        order,
        model.sources,
        model.held,
        model.config,
        rule=rule,
        file=file,
        layouts=model.layouts,
    )
    groups = [{**group, "lr": _peak_of(group)} for group in saved["param_groups"]]
    settings = optimizer_settings({**saved, "param_groups": groups}, file)
    return moments, {**settings, "weight_decay_on": rule}


def check_decoupled(saved: Mapping[str, Any], file: str) -> None:
    """Raise if a state may as well be one of Adam, whose weight decay is another one.

    Releases of torch before 2.7 save the same of both; without weight decay they are the same.

    Raises:
        FormatError: It does not say which of the two it is.
    """
    for group in saved["param_groups"]:
        if "decoupled_weight_decay" not in group and group["weight_decay"] != 0:
            _raise_algorithm_error(file, "does not say whether it is of AdamW or of Adam")


def _check_algorithm(saved: Mapping[str, Any], file: str) -> None:
    for group in saved["param_groups"]:
        unknown = ", ".join(sorted(map(str, group.keys() - _SETTINGS)))
        if unknown:
            _raise_algorithm_error(file, f"is of another optimizer than AdamW: it has {unknown}")
    first, *others = saved["param_groups"]
    for group in others:
        if group["weight_decay"] != 0:
            _raise_algorithm_error(file, "decays the parameters of more than its first group")
        if (_peak_of(group), group["betas"]) != (_peak_of(first), first["betas"]):
            _raise_algorithm_error(file, "has groups with a learning rate or betas of their own")
    for state in saved["state"].values():
        if state.keys() != {"step", *MOMENTS}:
            held = ", ".join(sorted(map(str, state)))
            _raise_algorithm_error(
                file, f"is of another optimizer than AdamW: of a parameter it keeps {held}"
            )


def _peak_of(group: Mapping[str, Any]) -> Any:
    """Return the learning rate of a group at the height of its schedule."""
    return group.get("initial_lr", group["lr"])


def _raise_algorithm_error(file: str, what: str) -> NoReturn:
    raise FormatError(Problem(file, _STATE, what, FIX, kind=ALGORITHM))
