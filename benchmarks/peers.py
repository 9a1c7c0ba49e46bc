"""What several benchmarks set side by side: mypt's trainer, without files, and nanoGPT's module."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import mypt
from mypt.data.curriculum import Phases
from mypt.engine.checkpoints.saver import DirectSaver
from mypt.engine.logging.dispatch import EventDispatcher
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.optimizers.tracked import TrackedOptimizer
from mypt.engine.training.job import Job
from mypt.engine.training.trainer import Trainer
from mypt.format.documents.training import TrainingConfig, TrainingState
from mypt.tokenizers.bare_ids import BareIds

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    import numpy as np


class IdsLoader(mypt.GPTDataLoader):
    """Batches of ids that no tokenizer made: of the first nine tenths, as of any text."""

    def __init__(self, config: mypt.GPTConfig, ids: np.ndarray) -> None:
        """Take (N,) ids below `vocab_size`."""

        class Bare(BareIds):
            def encode_array(self, text: str) -> np.ndarray:  # noqa: ARG002
                return ids

        super().__init__(config, Bare(config.vocab_size), text="")


def make_trainer(model: mypt.GPT, ids: np.ndarray, training: TrainingConfig) -> Trainer:
    """Return the trainer of `mypt train`, which writes nothing."""
    job = Job(
        model=model,
        optimizer=make_optimizer(model, training),
        phases=Phases.single(IdsLoader(model.config, ids)),
        training=training,
    )
    return Trainer(
        job,
        TrainingState(step=0, training_config=training),
        dispatcher=EventDispatcher({}),
        guards={},
        checkpointer=None,
        saver=DirectSaver(),
        mean=None,
        tracked=TrackedOptimizer(job.optimizer, model, training.optimizer),
    )


def import_nanogpt(checkout: Path) -> ModuleType:
    """Import the `model.py` of a checkout of nanoGPT."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", checkout / "model.py")
    assert spec is not None  # as for every name that ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module
    spec.loader.exec_module(module)
    return module
