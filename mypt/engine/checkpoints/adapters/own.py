"""The adapter of a model in memory: put one beside it, or merge it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mypt.engine.checkpoints.adapters.settings import add_adapter
from mypt.engine.checkpoints.origin import lineage_from
from mypt.engine.checkpoints.write import weights_of
from mypt.engine.config.overrides import override_training
from mypt.engine.history import History
from mypt.format.documents.training import Ancestor, TrainingConfig
from mypt.format.errors import ConfigError, Problem
from mypt.format.layout import HEAD
from mypt.format.open import open_checkpoint
from mypt.format.storage.recorded_paths import record_path
from mypt.model.lora.attachment import merge_adapter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.engine.language_model import LanguageModel
    from mypt.format.opened import Opened

_KIND = "adapter"


def add_adapter_to(model: LanguageModel, settings: Mapping[str, Any]) -> None:
    """Put an adapter beside a model that was read from a checkpoint; see `GPT.add_adapter`.

    Args:
        model: The model.
        settings: Fields of `TrainingConfig`.

    Raises:
        ConfigError: It has one, or is not what its checkpoint holds; or a setting cannot be.
    """
    training, history = override_training(settings, TrainingConfig()), model.history
    if model.config.adapter is not None:
        what, fix = "has an adapter already", "merge it before: model.merge_adapter()"
        raise ConfigError(Problem("", "model", what, fix, kind=_KIND))
    fix = "save it, and load what was saved: an adapter is nothing without its base"
    if history.path is None:
        raise ConfigError(Problem("", "model", "is in no checkpoint", fix, kind=_KIND))
    base = open_checkpoint(history.path, model.plugins)
    if not _holds(base, model):
        what = f"differs from its checkpoint, {history.path}"
        raise ConfigError(Problem("", "model", what, fix, kind=_KIND))
    path, digest = str(history.path), base.digest()
    before = () if history.state is None else history.state.lineage
    parent = Ancestor(model=record_path(path), step=history.step, sha256=digest)
    add_adapter(model, path, digest, training)
    model.history = History(lineage=(*before, parent))


def merge_adapter_of(model: LanguageModel) -> None:
    """Merge the adapter of a model into its matrices; a run of its own may begin with them."""
    lineage = lineage_from(model.history, weights_of(model))
    merge_adapter(model)
    model.history = History(lineage=lineage)


def _holds(base: Opened, model: LanguageModel) -> bool:
    """Return whether a checkpoint has the weights of a model, in whatever dtype."""
    if base.config.adapter is not None:
        return False
    held, ours = base.weights(), weights_of(model)
    names = {*ours} - {HEAD} if model.config.tie_weights else {*ours}
    return names <= {*held} and all(
        held[name].shape == ours[name].shape and torch.equal(held[name].to(ours[name]), ours[name])
        for name in names
    )
