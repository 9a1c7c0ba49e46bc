"""Count what training keeps in memory, whatever the batch; nothing else in mypt counts it."""

from __future__ import annotations

from attrs import frozen

from mypt.engine.humanize import short_bytes
from mypt.format.optimizers.adamw import NAME

BYTES_PER_WEIGHT = 4  # float32
ADAMW_MOMENTS = 2  # it keeps two values for each weight, in the dtype of the weight


@frozen(kw_only=True)
class TrainingMemory:
    """What a process keeps from its first update on, in bytes; activations come on top.

    Attributes:
        weights: The weights, on the device.
        gradients: Their gradients, on the device.
        state: What the optimizer keeps, on the device.
        optimizer: Name of the optimizer.
        copy: The copy of weights and optimizer state that a save is written from, on the CPU; 0
            where there is none.
        mean: The mean of the weights, on the device; 0 where there is none.
        base: The weights of an adapter's base, on the device; 0 where there is none.
    """

    weights: int
    gradients: int
    state: int
    copy: int
    optimizer: str = NAME
    mean: int = 0
    base: int = 0

    @property
    def on_device(self) -> int:
        """Bytes without the copy."""
        return self.weights + self.base + self.gradients + self.state + self.mean

    def describe(self) -> str:
        """Name each share with its size, on one line."""
        shares = {
            "weights": self.weights,
            "weights of the base": self.base,
            "gradients": self.gradients,
            _name_state(self.optimizer): self.state,
            "mean of the weights": self.mean,
            "copy for saving": self.copy,
        }
        return ", ".join(f"{short_bytes(size)} {name}" for name, size in shares.items() if size)


def _name_state(optimizer: str) -> str:
    return "moments of AdamW" if optimizer == NAME else f"state of {optimizer}"


def count_training_memory(
    weights: int,
    *,
    base: int = 0,
    trained: int | None = None,
    state: int | None = None,
    optimizer: str = NAME,
    mean: int = 0,
    processes: int = 1,
    is_sharded: bool = False,
    saves: bool = True,
) -> TrainingMemory:
    """Count what one of the processes of a run keeps.

    Args:
        weights: Bytes of all weights of the model; of an adapter, of its own.
        base: Bytes of the weights of an adapter's base, which each process has whole.
        trained: Bytes of those that get gradients; by default all.
        state: Bytes of what the optimizer keeps; by default AdamW's moments of those.
        optimizer: Name of the optimizer.
        mean: Bytes of the mean of the weights; 0 for none.
        processes: How many train together.
        is_sharded: Whether each of them keeps only its part of the model.
        saves: Whether this process saves; it is the only one that keeps a copy, of all tensors.
    """
    trained = weights if trained is None else trained
    state = ADAMW_MOMENTS * trained if state is None else state
    parts = processes if is_sharded else 1
    is_replicated = processes > 1 and not is_sharded  # DDP exchanges gradients in a copy of them
    return TrainingMemory(
        weights=weights // parts,
        gradients=trained // parts * (2 if is_replicated else 1),
        state=state // parts,
        copy=weights + state + mean if saves else 0,
        optimizer=optimizer,
        mean=mean // parts,
        base=base,
    )
