"""What an optimizer keeps for each parameter, as it says itself, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen


@frozen
class ParameterInfo:
    """A parameter that an optimizer trains.

    Attributes:
        name: Its name in the model, such as `blocks.0.sa.qkv.weight`.
        shape: Its shape.
        dtype: Name of its dtype, such as `float32`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@frozen
class StateTensor:
    """A tensor that an optimizer keeps for a parameter.

    Attributes:
        shape: Its shape.
        dtype: Name of its dtype, such as `float32`; None for that which the parameter is trained
            in, in the place of which a file may have any other floating-point one.
        is_whole: Whether each process keeps the whole of it where the parameter is sharded. One
            that is not, and has another shape than the parameter, keeps a resume of a sharded run
            from being exact.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    is_whole: bool = False


@frozen
class StateNumber:
    """A number of Python that an optimizer keeps for a parameter: an int, a float or a bool."""


Kept = Mapping[str, StateTensor | StateNumber]
# What is kept for a parameter, from the parameter and the settings of its group.
StateOf = Callable[[ParameterInfo, Mapping[str, Any]], Kept]


@frozen(kw_only=True)
class Declaration:
    """What an optimizer keeps.

    Attributes:
        state: Returns what it keeps for a parameter, in order, once it has updated it.
        settings: Names of the hyperparameters of its groups, beside `lr`.
        progress: Names of the settings of its groups that its updates change.
    """

    state: StateOf
    settings: tuple[str, ...] = ()
    progress: tuple[str, ...] = ()


def keep_nothing(_: ParameterInfo, __: Mapping[str, Any]) -> Kept:
    """Return what an optimizer without any state keeps."""
    return {}


def is_number(value: object) -> bool:
    """Return whether a value is what `StateNumber` stands for."""
    return isinstance(value, int | float)


def is_plain(value: object) -> bool:
    """Return whether a setting of a group can be saved: a number, a text, None, or some of them."""
    if isinstance(value, tuple | list):
        return all(map(is_plain, value))
    return value is None or isinstance(value, int | float | str)
