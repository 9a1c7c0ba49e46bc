"""The events that are more than a list of values, computed from what happened."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mypt.engine.logging.events import (
    Eval,
    Failed,
    GoldBlocked,
    GoldCheckpoint,
    Notice,
    TrainingComplete,
    TrainingStart,
)
from mypt.engine.schedules.batch_size import tokens_per_step
from mypt.format.documents.convert import to_document
from mypt.format.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypt.engine.evaluation.gold import GoldDecision
    from mypt.engine.stopping.ends import End
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import Environment, TrainingConfig, TrainingState
    from mypt.plugins.contracts.guard import Evaluation

_MAX_REASON = 2000  # characters


def training_start(
    config: GPTConfig,
    training: TrainingConfig,
    total_params: int,
    environment: Environment | None = None,
    run_id: str | None = None,
) -> TrainingStart:
    """Describe the run that begins."""
    settings = {
        **to_document(config, versioned=False),
        **to_document(training, versioned=False),
        "tokens_per_step": tokens_per_step(config, training, training.start_step),
    }
    shape = {
        name: getattr(config, name)
        for name in ("n_layer", "n_head", "n_embd", "pos_encoding", "mlp_type", "norm_type")
    }
    computed_by = {} if environment is None else to_document(environment, versioned=False)
    return TrainingStart(
        config=settings,
        model={"total_params": total_params, **shape},
        environment=computed_by,
        run_id=run_id,
    )


def failed(step: int, error: BaseException) -> Failed:
    """Report that a run ends by an error."""
    kind = type(error).__name__
    reason = one_line("; ".join(str(error).splitlines())) or kind
    return Failed(iter=step, error=kind, reason=reason[:_MAX_REASON])


def evaluated(
    evaluation: Evaluation,
    training: TrainingConfig,
    *,
    lr: float,
    elapsed_s: float,
    tokens_processed: int,
    eval_duration_s: float,
    phase: str,
) -> Eval:
    """Report an evaluation."""
    return Eval(
        iter=evaluation.step,
        elapsed_s=round(elapsed_s, 1),
        tokens_processed=tokens_processed,
        progress_pct=round(100 * evaluation.step / training.max_iters, 2),
        lr=lr,
        phase=phase,
        train_loss=rounded(evaluation.train_loss),
        val_loss=rounded(evaluation.val_loss),
        eval_losses={name: rounded(loss) for name, loss in evaluation.eval_losses.items()},
        eval_duration_s=round(eval_duration_s, 1),
    )


def gold_decided(
    evaluation: Evaluation, decision: GoldDecision, previous_best: float | None
) -> GoldCheckpoint | GoldBlocked | None:
    """Report a promotion or a blocked one; None where the model was no candidate."""
    step, val_loss = evaluation.step, rounded(evaluation.val_loss)
    gold_loss = None if decision.loss == evaluation.val_loss else rounded(decision.loss)
    best = rounded(previous_best)
    if decision.promoted:
        return GoldCheckpoint(iter=step, val_loss=val_loss, gold_loss=gold_loss, prev_best=best)
    if not decision.reasons:
        return None
    return GoldBlocked(
        iter=step,
        val_loss=val_loss,
        gold_loss=gold_loss,
        best_val_loss=best,
        reason="; ".join(decision.reasons),
    )


def unsaved(state: TrainingState) -> Notice:
    """Report the end of a run that saves nothing, and what it would have saved as gold."""
    place = f"the model in memory is that of step {state.step}"
    message = f"Nothing is saved, without checkpoint_dir; {place}"
    if state.gold is not None and state.gold.best_val_loss is not None:
        name = state.training_config.gold_loss_name
        best = f"{name}={state.gold.best_val_loss:.4f} at step {state.gold.best_step}"
        message = f"{message}; the best was {best}"
    return Notice(message=message)


def training_complete(
    last: Evaluation,
    training: TrainingConfig,
    *,
    ends: Sequence[End],
    started_at: str,
    elapsed_s: float,
    tokens_processed: int,
    updates: float,
    best_val_loss: float | None,
    gold_step: int | None,
) -> TrainingComplete:
    """Sum the run up; `updates` are those whose time and tokens are known."""
    seconds = max(elapsed_s, 1e-9)
    return TrainingComplete(
        started_at=started_at,
        total_elapsed_s=round(elapsed_s, 1),
        total_elapsed_h=round(elapsed_s / 3600, 2),
        total_steps=last.step,
        total_tokens=tokens_processed,
        steps_per_sec=round(updates / seconds, 2),
        tokens_per_sec=round(tokens_processed / seconds),
        final_train_loss=rounded(last.train_loss),
        final_val_loss=rounded(last.val_loss),
        best_val_loss=rounded(best_val_loss),
        gold_step=gold_step,
        config_file=training.config_file,
        dataset_dir=training.dataset_dir,
        ended_by=ends[0].field,
        reason="; ".join(end.what for end in ends),
    )


def rounded(loss: float | None) -> float | None:
    """Round a loss to six decimals; JSON has no word for one that is not finite."""
    return round(loss, 6) if loss is not None and math.isfinite(loss) else None
