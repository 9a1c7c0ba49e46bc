"""Events of a run that never was."""

import json

from mypt.engine.logging import events, reports
from mypt.engine.stopping.ends import End
from mypt.format.documents.training import TrainingConfig
from mypt.plugins import Evaluation

TRAINING = TrainingConfig(max_iters=75000)


def eval_event(step, val=4.123456789, **sets):
    return reports.evaluated(
        Evaluation(step=step, train_loss=4.0, val_loss=val, eval_losses=sets),
        TRAINING,
        lr=1.4e-5,
        elapsed_s=912.54,
        tokens_processed=34_406_400,
        eval_duration_s=12.34,
        phase="circuit_formation" if sets else "default",
    )


def one_update(step, max_iters):
    return events.Update(iter=step, max_iters=max_iters, train_loss=2.5, lr=0.1)


def step_event(step, max_iters=75000, **fields):
    figures = {
        "train_loss": 2.5,
        "lr": 3e-4,
        "grad_norm": 1.25,
        "tokens_per_sec": 12_345,
        "tokens_processed": 64 * step,
        "elapsed_s": 1.5,
        "mfu": None,
        "memory_bytes": 1_200_000_000,
    }
    return events.Step(iter=step, max_iters=max_iters, **{**figures, **fields})


def saved_event(step):
    return events.Saved(
        iter=step, folder="dante", copies=("dante_gold",), size_bytes=100, save_duration_s=0.5
    )


def complete_event():
    return reports.training_complete(
        Evaluation(step=75000, train_loss=2.0, val_loss=2.6),
        TRAINING,
        ends=(End("max_iters", "max_iters is 75000", "150000"),),
        started_at=events.now(),
        elapsed_s=2.0,
        tokens_processed=64,
        updates=1,
        best_val_loss=None,
        gold_step=None,
    )


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
