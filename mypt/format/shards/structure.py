"""How the tensors of a sharded save make up a model and its optimizer: `structure.pt`.

It is the content of `model.pt` and of `optimizer.pt` with the name of a tensor in the place of
each, so that it has the order of everything, the numbers, and which tensors are one and the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

MODEL, OPTIMIZER, STATE = "model", "optimizer", "state"


@frozen
class Structure:
    """A model and its optimizer, taken apart.

    Attributes:
        content: What `structure.pt` holds.
        tensors: Each tensor once, by its name in the save.
    """

    content: dict[str, Any]
    tensors: dict[str, Any]


def take_apart(
    weights: Mapping[str, Any],
    optimizer: Mapping[str, Any],
    *,
    is_tensor: Callable[[Any], bool],
    identify: Callable[[Any], Hashable],
) -> Structure:
    """Take a model and its optimizer apart.

    Args:
        weights: Tensors by name.
        optimizer: Content of `optimizer.pt`.
        is_tensor: Returns whether what the optimizer keeps of a parameter is a tensor.
        identify: Returns what is equal for weights that are one and the same tensor.
    """
    tensors: dict[str, Any] = {}
    first: dict[Hashable, str] = {}
    model = {}
    for name, tensor in weights.items():
        model[name] = first.setdefault(identify(tensor), f"{MODEL}.{name}")
        tensors.setdefault(model[name], tensor)
    state: dict[str, dict[str, Any]] = {}
    for name, entry in optimizer[STATE].items():
        state[name] = {}
        for key, value in entry.items():
            place = f"{OPTIMIZER}.{name}.{key}"
            state[name][key] = place if is_tensor(value) else value
            if is_tensor(value):
                tensors[place] = value
    return Structure({MODEL: model, OPTIMIZER: {**optimizer, STATE: state}}, tensors)


def put_together(
    content: Mapping[str, Any], tensors: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the weights by name, and the content of `optimizer.pt`.

    Args:
        content: What `structure.pt` holds.
        tensors: The tensors, or descriptions of them, by their names in the save.

    Raises:
        KeyError: There is no such tensor, or the content is something else.
        TypeError: The content is something else.
    """
    weights = {name: tensors[place] for name, place in content[MODEL].items()}
    optimizer = content[OPTIMIZER]
    state = {
        name: {
            key: tensors[value] if isinstance(value, str) else value for key, value in entry.items()
        }
        for name, entry in optimizer[STATE].items()
    }
    return weights, {**optimizer, STATE: state}
