"""Write a model as a bundle."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.engine.checkpoints.origin import find_optimizer, lineage_from
from mypt.engine.checkpoints.replacement import ensure_finite, ensure_replaceable
from mypt.engine.config.overrides import inherited_training, override_training
from mypt.engine.history import bare_state, begin_or_continue, runs_behind
from mypt.engine.language_model import find_model_requirements
from mypt.engine.optimizers.given import describe_training, merge_described
from mypt.engine.optimizers.given_state import arrange_state
from mypt.engine.runtime.fsdp import defer_state, defer_weights
from mypt.format.bundle.examine import KINDS
from mypt.format.bundle.write import bundle_files, save_bundle
from mypt.format.documents.training import TrainingConfig
from mypt.format.documents.vocabulary import merge_document
from mypt.format.errors import ConfigError, Problem
from mypt.format.storage import files
from mypt.format.storage.commit import open_for_writing
from mypt.format.version import MYPT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from mypt.engine.language_model import LanguageModel
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.manifest import Manifest
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingState
    from mypt.format.rules.requirements import Requirements
    from mypt.format.storage.commit import BundleWriter, Content


_LOGGER = logging.getLogger("mypt")
WRITTEN_BY = f"mypt {MYPT_VERSION}"


@frozen(kw_only=True)
class ModelDescription:
    """The part of a model's bundles that is neither tensors nor training state.

    Attributes:
        config: Architecture.
        tokenizer: Vocabulary; None for a model of bare ids.
        requirements: The plugins that its bundles require.
    """

    config: GPTConfig
    tokenizer: TokenizerState | None
    requirements: Requirements


def describe_model(model: LanguageModel, state: TrainingState | None) -> ModelDescription:
    """Collect what stays the same while a model is trained.

    Args:
        model: The model; its weights are not read.
        state: A training state of the run, whose optimizer and guards are required to resume it.
    """
    training = None if state is None else state.training_config
    return ModelDescription(
        config=model.config,
        tokenizer=_tokenizer_state(model),
        requirements=find_model_requirements(model, training),
    )


def write_bundle(
    writer: BundleWriter,
    model: ModelDescription,
    state: TrainingState | None,
    weights: Mapping[str, torch.Tensor],
    optimizer: Mapping[str, Any] | None,
    dtype: torch.dtype | None = None,
) -> Manifest:
    """Commit a model as the next generation of a bundle.

    Args:
        writer: Holder of the bundle's lock.
        model: Description of the model.
        state: Progress; None for a bundle that only inference needs.
        weights: By name, on any device. They must not change until they are written. Those of
            which each process has a part are gathered one by one: see `defer_weights`.
        optimizer: Content of `optimizer.pt`, likewise.
        dtype: Type of the weights on disk; by default the one they are trained in.
    """
    if state is not None:
        state = evolve(state, optimizer_file=files.OPTIMIZER if optimizer else None)
    return save_bundle(
        writer,
        config=model.config,
        tokenizer=model.tokenizer,
        training_state=state,
        weights=defer_weights(weights),
        optimizer=None if optimizer is None else defer_state(optimizer),
        weights_dtype=dtype,
        written_by=WRITTEN_BY,
        requirements=model.requirements,
    )


def make_documents(
    model: ModelDescription, state: TrainingState, optimizer: Mapping[str, Any]
) -> dict[str, Content]:
    """Return the JSON documents that the bundle of a model would have, by file name.

    Args:
        model: Description of the model.
        state: Progress.
        optimizer: Content of `optimizer.pt`.
    """
    made = bundle_files(
        model.config, model.tokenizer, state, {}, optimizer, requirements=model.requirements
    )
    return {name: content for name, content in made.items() if name in KINDS}


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights to save, by name."""
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def _tokenizer_state(model: LanguageModel) -> TokenizerState | None:
    """Return the document of the tokenizer."""
    if model.tokenizer is None:
        return model.tokenizer_state
    return merge_document(model.tokenizer.state(), model.tokenizer_state)


def save_model(
    model: LanguageModel,
    folder: Path,
    step: int | None,
    optimizer: Mapping[str, Any] | None,
    training_config: Mapping[str, Any],
    *,
    overwrite: bool,
    no_lock: bool,
) -> None:
    """Save a model outside of a training run; see `GPT.save_checkpoint_bundle`."""
    history, given = model.history, dict(training_config)
    if optimizer is not None:
        saved = TrainingConfig() if history.state is None else history.state.training_config
        optimizer, described = arrange_state(optimizer, model, given, saved)
        given = merge_described(described, given, "optimizer_state")
    if step is None and given:
        what, fix = "is missing, but training_config and optimizer_state belong to one", "pass it"
        raise ConfigError(Problem("", "step", what, fix))
    state = None if step is None else _state_to_save(model, folder, step, given)
    known = history.state
    if optimizer is None and known is not None and known.step == step:
        optimizer = find_optimizer(history, model.plugins)
        if optimizer is not None:
            merge_described(describe_training(known.training_config), given, "optimizer")
    with open_for_writing(folder, no_lock=no_lock) as writer:
        if writer.warning is not None:
            _LOGGER.warning("%s", writer.warning)
        if not overwrite:
            ensure_replaceable(folder, history, state, has_optimizer=optimizer is not None)
            ensure_finite(folder, weights_of(model))
        manifest = write_bundle(
            writer, describe_model(model, state), state, weights_of(model), optimizer
        )
    model.history = evolve(history, digests=history.digests | {manifest.files[files.MODEL].sha256})
    if state is not None:
        path = files.real_path(folder)
        model.history = evolve(model.history, state=state, optimizer=optimizer, path=path)


def _state_to_save(
    model: LanguageModel, folder: Path, step: int, training_config: Mapping[str, Any]
) -> TrainingState:
    """Return the state of a model at a step that its user names.

    It is that of the model's own training where this ended at the step. Where a loop of the
    user's went on from there, data and environment are unknown, but it is the same run; fewer
    updates are those of a run of its own, which began with the model's weights.
    """
    history, state = model.history, model.history.state_in(folder)
    if state is None or step < state.step:
        state = evolve(bare_state(step), lineage=lineage_from(history, weights_of(model)))
    elif step > state.step:
        state = evolve(
            bare_state(step),
            training_config=state.training_config,
            lineage=state.lineage,
            earlier_runs=runs_behind(state),
            exact=state.exact,
            inexact_reasons=state.inexact_reasons,
            run_id=state.run_id,
            copy_of=state.copy_of,
            sinks=state.sinks,
        )
    training = override_training(training_config, inherited_training(state))
    return begin_or_continue(evolve(state, training_config=training))
