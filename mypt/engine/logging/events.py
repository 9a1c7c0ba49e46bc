"""The events of a run, as log sinks hear them and as the JSONL file keeps them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypt.engine.evaluation.gold import GoldDecision
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts import Evaluation

Event = dict[str, Any]


def now() -> str:
    """Give the local time in ISO form, as MyPT's log has it."""
    return datetime.now().isoformat()


def training_start(config: GPTConfig, training: TrainingConfig, total_params: int) -> Event:
    """Describe the run that begins."""
    run = {
        name: getattr(training, name)
        for name in (
            "max_iters",
            "start_step",
            "learning_rate",
            "warmup_iters",
            "grad_clip",
            "grad_accum_steps",
            "weight_decay",
            "eval_interval",
            "eval_iters",
            "use_amp",
            "amp_dtype",
            "seed",
            "config_file",
            "input_file",
            "dataset_dir",
        )
    }
    shape = {
        name: getattr(config, name)
        for name in ("n_layer", "n_head", "n_embd", "pos_encoding", "mlp_type", "norm_type")
    }
    run |= {
        "batch_size": config.batch_size,
        "block_size": config.block_size,
        "tokens_per_step": tokens_per_step(config, training),
    }
    return _event("training_start", config=run, model={"total_params": total_params, **shape})


def evaluated(
    evaluation: Evaluation,
    training: TrainingConfig,
    *,
    lr: float,
    elapsed_s: float,
    tokens_processed: int,
    eval_duration_s: float,
    phase: str,
) -> Event:
    """Report an evaluation."""
    others = {f"eval_{name}": rounded(loss) for name, loss in evaluation.eval_losses.items()}
    return _event(
        "eval",
        iter=evaluation.step,
        elapsed_s=round(elapsed_s, 1),
        tokens_processed=tokens_processed,
        progress_pct=round(100 * evaluation.step / training.max_iters, 2),
        lr=lr,
        phase=phase,
        train_loss=rounded(evaluation.train_loss),
        val_loss=rounded(evaluation.val_loss),
        **others,
        eval_duration_s=round(eval_duration_s, 1),
    )


def gold_decided(
    evaluation: Evaluation, decision: GoldDecision, previous_best: float | None
) -> Event | None:
    """Report a promotion or a blocked one; None where the model was no candidate."""
    val_loss = rounded(evaluation.val_loss)
    metric = {} if decision.loss == evaluation.val_loss else {"gold_loss": rounded(decision.loss)}
    if decision.promoted:
        return _event(
            "gold_checkpoint",
            iter=evaluation.step,
            val_loss=val_loss,
            **metric,
            prev_best=rounded(previous_best),
        )
    if not decision.reasons:
        return None
    return _event(
        "gold_blocked",
        iter=evaluation.step,
        val_loss=val_loss,
        **metric,
        best_val_loss=rounded(previous_best),
        reason="; ".join(decision.reasons),
    )


def phase_switched(phase: str, step: int, *, elapsed_s: float, tokens_processed: int) -> Event:
    """Report that the next update is the first of another phase."""
    return _event(
        "phase_switch",
        iter=step,
        elapsed_s=round(elapsed_s, 1),
        tokens_processed=tokens_processed,
        new_phase=phase,
    )


def training_complete(
    last: Evaluation,
    training: TrainingConfig,
    *,
    started_at: str,
    elapsed_s: float,
    tokens_processed: int,
    tokens_in_step: int,
    best_val_loss: float | None,
    gold_step: int | None,
) -> Event:
    """Sum the run up; seconds and tokens count from the first update whose time is known.

    That is the model's first, but for one that another program began.
    """
    seconds = max(elapsed_s, 1e-9)
    timed_steps = min(last.step, tokens_processed / tokens_in_step)
    return _event(
        "training_complete",
        started_at=started_at,
        total_elapsed_s=round(elapsed_s, 1),
        total_elapsed_h=round(elapsed_s / 3600, 2),
        total_steps=last.step,
        total_tokens=tokens_processed,
        steps_per_sec=round(timed_steps / seconds, 2),
        tokens_per_sec=round(tokens_processed / seconds),
        final_train_loss=rounded(last.train_loss),
        final_val_loss=rounded(last.val_loss),
        best_val_loss=rounded(best_val_loss),
        gold_step=gold_step,
        config_file=training.config_file,
        dataset_dir=training.dataset_dir,
    )


def interrupted(step: int, folder: str | None) -> Event:
    """Report that the run was asked to stop, after its state was saved."""
    return _event("interrupted", iter=step, folder=folder)


def notice(message: str) -> Event:
    """Tell the user something about the run."""
    return _event("notice", message=message)


def stepped(step: int, max_iters: int, train_loss: float, lr: float) -> Event:
    """Report one update; heard by live displays, not kept in the JSONL file."""
    return {
        "event": "step",
        "iter": step,
        "max_iters": max_iters,
        "train_loss": train_loss,
        "lr": lr,
    }


def tokens_per_step(config: GPTConfig, training: TrainingConfig) -> int:
    """Count the tokens of one update."""
    return config.batch_size * training.grad_accum_steps * config.block_size


def rounded(loss: float | None) -> float | None:
    """Round a loss to six decimals; JSON has no word for one that is not finite."""
    return round(loss, 6) if loss is not None and math.isfinite(loss) else None


def _event(name: str, **fields: Any) -> Event:
    return {"event": name, "timestamp": now(), **fields}
