"""Put a run together: lock, log sinks, guards and the loop."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from mypt.engine import events
from mypt.engine.broadcast import open_sinks
from mypt.engine.exactness import inexact_reasons
from mypt.engine.gold import build_guards
from mypt.engine.opening import is_bundle
from mypt.engine.places import sibling
from mypt.engine.trainer import Trainer
from mypt.format import files
from mypt.format.commit import open_for_writing
from mypt.format.documents import TrainingConfig, TrainingState
from mypt.format.errors import Problem, UsageError
from mypt.plugins.contracts import RunInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from mypt.data.loader import GPTDataLoader
    from mypt.engine.gpt import GPT


@frozen(kw_only=True)
class Job:
    """Everything a run needs.

    Attributes:
        model: The model, on its device.
        optimizer: Its optimizer.
        loader: Where batches come from.
        training: Hyperparameters.
        previous: The state to go on from; None for a new model.
        folder: Where the bundle goes; None to save nothing.
        log_file: Where the JSON lines go; None to keep no log.
        eval_loaders: Further evaluation sets, by name.
        notices: What to tell the user before the first step.
        quiet: Print nothing.
    """

    model: GPT
    optimizer: torch.optim.Optimizer
    loader: GPTDataLoader
    training: TrainingConfig
    previous: TrainingState | None = None
    folder: Path | None = None
    log_file: Path | None = None
    eval_loaders: Mapping[str, GPTDataLoader] = field(factory=dict)
    notices: tuple[str, ...] = ()
    quiet: bool = False


def train(job: Job) -> TrainingState:
    """Run a job to its end, or until it is asked to stop.

    Returns:
        The state that was saved last; `step` is below `max_iters` if the run was interrupted.

    Raises:
        LockedError: Another process trains this model.
        SaveError: A checkpoint or the log could not be written.
        ConfigError: An option of a guard does not fit.
        UsageError: A model of its own is where this one's copies go.
    """
    guards = build_guards(job.training.gold_guards, job.model.plugins.guards)
    with ExitStack() as stack:
        writer = None
        if job.folder is not None:
            _refuse_to_overwrite_others(job.folder)
            writer = stack.enter_context(open_for_writing(job.folder))
        state = _first_state(job)
        broadcast = open_sinks(_run_info(job, state), job.model.plugins)
        stack.callback(broadcast.close)
        for message in (*job.notices, *_inexact_notices(job, state)):
            broadcast.emit(events.notice(message))
        total = sum(p.numel() for p in job.model.parameters())
        broadcast.emit(events.training_start(job.model.config, job.training, total))
        trainer = Trainer(
            job.model,
            job.optimizer,
            job.loader,
            state,
            broadcast=broadcast,
            guards=guards,
            eval_loaders=job.eval_loaders,
            writer=writer,
        )
        return trainer.run()


def closing_summary(state: TrainingState, folder: Path) -> list[str]:
    """Say where the models of a finished run are."""
    lines = [
        "Training finished!",
        f"  Resume training from: {folder}",
        f"  Deploy inference from: {sibling(folder, 'fp16')}",
    ]
    gold = state.gold
    if gold is not None and gold.best_val_loss is not None:
        where = f"step {gold.best_step}, val_loss={gold.best_val_loss:.4f}"
        lines.append(f"  Best (GOLD) checkpoint: {sibling(folder, 'gold')} ({where})")
    return lines


def _refuse_to_overwrite_others(folder: Path) -> None:
    """Keep `dante` from writing its gold over a model that somebody trained as `dante_gold`."""
    for kind in ("gold", "fp16"):
        other = sibling(folder, kind)
        if not is_bundle(other):
            continue
        path = other / files.TRAINING_STATE
        state = files.read_document(path, str(path))[0] if path.exists() else {}
        if state.get("copy_of") != folder.name:
            what = f"is a model of its own, and {folder.name} would write its {kind} copy there"
            fix = f"rename it, or train {folder.name} under another name"
            raise UsageError(Problem(str(other), "", what, fix, kind="copy"))


def _first_state(job: Job) -> TrainingState:
    data = job.loader.fingerprint
    previous = job.previous
    if previous is None:
        return TrainingState(step=0, training_config=job.training, data=data)
    reasons = inexact_reasons(previous, job.training, data, has_optimizer=bool(job.optimizer.state))
    return evolve(
        previous,
        copy_of=None,
        training_config=job.training,
        data=data,
        exact=previous.exact and not reasons,
        inexact_reasons=(*previous.inexact_reasons, *reasons),
    )


def _inexact_notices(job: Job, state: TrainingState) -> list[str]:
    known = 0 if job.previous is None else len(job.previous.inexact_reasons)
    return [f"Not the run of before: {reason}" for reason in state.inexact_reasons[known:]]


def _run_info(job: Job, state: TrainingState) -> RunInfo:
    return RunInfo(
        model_name=job.folder.name if job.folder is not None else "model",
        log_file=job.log_file,
        start_step=state.step,
        resumed=job.previous is not None,
        quiet=job.quiet,
    )
