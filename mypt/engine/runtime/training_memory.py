"""Count what training keeps in memory, whatever the batch; nothing else in mypt counts it."""

from __future__ import annotations

from attrs import frozen

from mypt.engine.humanize import short_bytes

BYTES_PER_WEIGHT = 4  # float32
MOMENTS = 2  # AdamW keeps two values for each weight, in the dtype of the weight


@frozen(kw_only=True)
class TrainingMemory:
    """What a process keeps from its first update on, in bytes; activations come on top.

    Attributes:
        weights: The weights, on the device.
        gradients: Their gradients, on the device.
        moments: AdamW's moments, on the device.
        copy: The copy of weights and moments that a save is written from, on the CPU; 0 where
            there is none.
    """

    weights: int
    gradients: int
    moments: int
    copy: int

    @property
    def on_device(self) -> int:
        """Bytes without the copy."""
        return self.weights + self.gradients + self.moments

    def describe(self) -> str:
        """Name each share with its size, on one line."""
        shares = {
            "weights": self.weights,
            "gradients": self.gradients,
            "moments of AdamW": self.moments,
            "copy for saving": self.copy,
        }
        return ", ".join(f"{short_bytes(size)} {name}" for name, size in shares.items() if size)


def count_training_memory(
    weights: int,
    *,
    trained: int | None = None,
    with_moments: int | None = None,
    processes: int = 1,
    is_sharded: bool = False,
    saves: bool = True,
) -> TrainingMemory:
    """Count what one of the processes of a run keeps.

    Args:
        weights: Bytes of all weights of the model.
        trained: Bytes of those that get gradients; by default all.
        with_moments: Bytes of those that have moments; by default those that get gradients.
        processes: How many train together.
        is_sharded: Whether each of them keeps only its part of the model.
        saves: Whether this process saves; it is the only one that keeps a copy, of all tensors.
    """
    trained = weights if trained is None else trained
    moments = MOMENTS * (trained if with_moments is None else with_moments)
    parts = processes if is_sharded else 1
    is_replicated = processes > 1 and not is_sharded  # DDP exchanges gradients in a copy of them
    return TrainingMemory(
        weights=weights // parts,
        gradients=trained // parts * (2 if is_replicated else 1),
        moments=moments // parts,
        copy=weights + moments if saves else 0,
    )
