"""What the two ways to save have in common, and the one that needs no memory of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch


OptimizerState = dict[str, Any]


@frozen(kw_only=True)
class Copy:
    """Weights and optimizer state at one step.

    Attributes:
        weights: By name; tied ones share their memory.
        optimizer: Content of `optimizer.pt`.
    """

    weights: Mapping[str, torch.Tensor]
    optimizer: OptimizerState


def _do_nothing() -> None:
    pass


@frozen
class Part:
    """A part of a save.

    Attributes:
        write: Writes it, perhaps in another thread.
        then: Called in the thread of the run once it is on disk, before the next part is written.
    """

    write: Callable[[Copy], None]
    then: Callable[[], None] = _do_nothing


class Saver(Protocol):
    """Has the saves of a run written, one at a time.

    Every method but `close` raises what a part has raised, which then is the last of its save; the
    save before is whole.
    """

    def save(
        self, weights: Mapping[str, torch.Tensor], optimizer: OptimizerState, *parts: Part
    ) -> None:
        """Save a model as it is now.

        Args:
            weights: Tensors by name, on any device.
            optimizer: Content of `optimizer.pt`.
            parts: What is written, one after the other.

        Raises:
            SaveError: Something could not be written.
        """

    def check(self) -> None:
        """Go on with a save that is being written, without waiting for anything.

        Raises:
            SaveError: It could not be written.
        """

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            SaveError: It could not be.
        """

    def close(self) -> None:
        """Finish what is being written; nothing can be saved any more."""


class DirectSaver:
    """Writes the tensors themselves, while the run waits: for machines without room for a copy.

    Those of a GPU come to the CPU one by one.
    """

    def save(
        self, weights: Mapping[str, torch.Tensor], optimizer: OptimizerState, *parts: Part
    ) -> None:
        """Save a model as it is now; see `Saver`."""
        live = Copy(weights=weights, optimizer=optimizer)
        for part in parts:
            part.write(live)
            part.then()

    def check(self) -> None:
        """Return at once: nothing is being written."""

    def wait(self) -> None:
        """Return at once: nothing is being written."""

    def close(self) -> None:
        """Return at once: nothing is being written."""
