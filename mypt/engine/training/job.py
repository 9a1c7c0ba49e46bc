"""What a run works on, as its parts take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.engine.callbacks import Callbacks
from mypt.engine.runtime.world import ALONE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.data.curriculum import Phases
    from mypt.engine.checkpoints.recovery.fall_back import FallBack
    from mypt.engine.language_model import LanguageModel
    from mypt.engine.runtime.world import World
    from mypt.format.documents.manifest import Manifest
    from mypt.format.documents.training import Ancestor, TrainingConfig, TrainingState


@frozen(kw_only=True)
class Job:
    """Everything a run needs.

    Attributes:
        model: The model, on its device.
        optimizer: Its optimizer.
        phases: Where batches come from.
        training: Hyperparameters.
        previous: The state to resume from; None for a new model.
        doubts: Why resuming from it may not be exact, as far as its files show.
        lineage: Models that a new model's weights came from, the oldest first.
        command: Words of the command line that started the run; None without one.
        again: The last state of the run that this one does again from its beginning.
        folder: Where the bundle goes; None to save nothing.
        found: Manifest of the bundle there that `model` was read from; None where it has none.
        found_shards: Generation of the sharded save that `model` was read from instead, where the
            bundle there is older or none.
        fall_back: The copy that `model` was read from instead, since what is there is damaged.
        log_file: Where the JSON lines go; None to keep no log.
        eval_loaders: Further evaluation sets, by name.
        notices: What to report to the user before the first step.
        overwrite: Whether what other runs saved may be replaced.
        no_lock: Whether to go on where the file system has no locks.
        quiet: Print nothing.
        world: The processes that train together; the first alone logs and saves.
        callbacks: Called after updates and evaluations; what they raise ends the run, once saved.
        means: Of a run that goes on, the mean of each parameter by name, where it kept one.
    """

    model: LanguageModel
    optimizer: torch.optim.Optimizer
    phases: Phases
    training: TrainingConfig
    previous: TrainingState | None = None
    doubts: tuple[str, ...] = ()
    lineage: tuple[Ancestor, ...] = ()
    command: tuple[str, ...] | None = None
    again: TrainingState | None = None
    folder: Path | None = None
    found: Manifest | None = None
    found_shards: int | None = None
    fall_back: FallBack | None = None
    log_file: Path | None = None
    eval_loaders: Mapping[str, GPTDataLoader] = field(factory=dict)
    notices: tuple[str, ...] = ()
    overwrite: bool = False
    no_lock: bool = False
    quiet: bool = False
    world: World = ALONE
    callbacks: Callbacks[Any] = field(factory=Callbacks)
    means: Mapping[str, torch.Tensor] = field(factory=dict)
