"""The hyperparameters of an adapter: begin one by them, and compare one with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.data.randomness import Purpose, torch_seed
from mypt.format.adapters.places import list_targets
from mypt.format.documents.config_parts.adapter import Adapter
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, Problem
from mypt.format.layout import lay_out
from mypt.format.rules.config import layout_problems
from mypt.format.storage.recorded_paths import record_path
from mypt.model.lora.attachment import attach_adapter, initialise_adapter

if TYPE_CHECKING:
    from mypt.engine.language_model import LanguageModel

# The hyperparameters that say what an adapter is.
LORA_FIELDS = ("lora_rank", "lora_alpha", "lora_targets", "lora_dropout")
_INIT = 1  # the step that an adapter's first values are drawn for; those of a model are of step 0
_KIND = "adapter"


def check_settings(training: TrainingConfig) -> None:
    """Raise if hyperparameters of an adapter would have no effect.

    Raises:
        ConfigError: There is no base, or no rank.
    """
    defaults = TrainingConfig()
    if training.lora_rank and training.init_from_model is None:
        what, fix = "needs a base, which stays as it is", "name it by --init_from_model"
        raise ConfigError(Problem("", "lora_rank", what, fix, kind=_KIND))
    if training.lora_rank and training.shard:
        what = "splits the weights that are trained, and an adapter leaves nothing worth splitting"
        raise ConfigError(Problem("", "shard", what, "leave it out", kind=_KIND))
    for name in LORA_FIELDS:
        if not training.lora_rank and getattr(training, name) != getattr(defaults, name):
            what, fix = "has no effect without lora_rank", "give the rank too, such as 8"
            raise ConfigError(Problem("", name, what, fix, kind=_KIND))


def add_adapter(
    model: LanguageModel, base: str, base_sha256: str, training: TrainingConfig
) -> None:
    """Put an adapter that adds nothing yet beside a model, which itself stays as it is.

    Args:
        model: A whole model.
        base: Where its checkpoint is.
        base_sha256: SHA-256 of its weights there.
        training: Says what the adapter is, and the seed of its first values.

    Raises:
        ConfigError: A target names no matrix of the model.
    """
    rank, plugins = training.lora_rank, model.plugins
    layer = lay_out(model.config, plugins.layouts).layer(0)
    adapter = Adapter(
        rank=rank,
        alpha=2.0 * rank if training.lora_alpha is None else training.lora_alpha,
        targets=training.lora_targets or tuple(list_targets(layer, model.config)),
        dropout=training.lora_dropout,
        base=record_path(base),
        base_sha256=base_sha256,
    )
    problems = layout_problems(model.config.with_adapter(adapter), "", plugins.layouts)
    if problems:
        raise ConfigError(*(_name_field(problem) for problem in problems))
    attach_adapter(model, adapter)
    initialise_adapter(model, torch_seed(training.seed, Purpose.INIT, _INIT, 0))


def _name_field(problem: Problem) -> Problem:
    return evolve(problem, where=problem.where.replace("/adapter/", "lora_", 1))


def settings_of(adapter: Adapter) -> dict[str, Any]:
    """Return the hyperparameters that an adapter is of."""
    return {
        "lora_rank": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_targets": adapter.targets,
        "lora_dropout": adapter.dropout,
    }


def ensure_same(adapter: Adapter, training: TrainingConfig, name: str) -> None:
    """Raise if an adapter that a run goes on from is not what its hyperparameters say.

    Args:
        adapter: The adapter.
        training: Hyperparameters of the run.
        name: What the user calls the model that has the adapter.

    Raises:
        ConfigError: It is another.
    """
    defaults = TrainingConfig()
    for field, value in settings_of(adapter).items():
        wanted = getattr(training, field)
        if wanted not in (value, getattr(defaults, field)):
            what = f"is {wanted}, but {name} is an adapter with {value} already"
            fix = f"leave it out, or make a whole model of {name} first: mypt merge {name}"
            raise ConfigError(Problem("", field, what, fix, kind=_KIND))


def settle_settings(adapter: Adapter | None, training: TrainingConfig) -> TrainingConfig:
    """Return the hyperparameters of a run in Python, with those of the model's adapter.

    Raises:
        ConfigError: They are of another adapter, or the model has none.
    """
    if adapter is None:
        if training.lora_rank:
            what, fix = "is for a model with an adapter", "call model.add_adapter(rank) before"
            raise ConfigError(Problem("", "lora_rank", what, fix, kind=_KIND))
        return training
    ensure_same(adapter, training, "this model")
    return evolve(training, **settings_of(adapter))
