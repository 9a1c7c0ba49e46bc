"""The model a run starts with: from another model's weights, or from its own checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch
from attrs import evolve

from mypt.engine.checkpoints.adapters.settings import add_adapter, ensure_same
from mypt.engine.checkpoints.build import build_model, build_tokenizer
from mypt.engine.checkpoints.recovery.saved_model import check_tensors
from mypt.engine.checkpoints.sharded.outline import is_split, outline_new, outline_saved
from mypt.engine.history import History
from mypt.engine.language_model import LanguageModel
from mypt.engine.runtime.fsdp import is_sharded
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.manifest import GENERATE
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import Ancestor, TrainingConfig
from mypt.format.errors import ConfigError, Problem
from mypt.format.layout import POSITIONS
from mypt.format.optimizers.declaration import is_number
from mypt.format.shards.places import holds_shards
from mypt.format.storage.recorded_paths import record_path
from mypt.model.lora.attachment import merge_adapter
from mypt.model.vocabulary_rows import add_rows
from mypt.tokenizers.extension import find_new_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.engine.checkpoints.sharded.outline import Outline
    from mypt.engine.runtime.world import World
    from mypt.format.documents.config import GPTConfig
    from mypt.format.opened import Opened
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins


M = TypeVar("M", bound="LanguageModel")


def start_from(
    base: Opened,
    config: GPTConfig,
    plugins: Plugins,
    training: TrainingConfig | None = None,
    tokenizer: Tokenizer | None = None,
) -> LanguageModel:
    """Build a model with the weights and the tokenizer of another one, on the CPU, in float32.

    Args:
        base: The other model. Where it is an adapter, it is merged with its own base, unless an
            adapter is to be trained: then this one is.
        config: Its architecture; block_size may be smaller, and with rope larger too.
        plugins: Where parts and tokenizers are looked up.
        training: Hyperparameters, which may say that an adapter is trained beside it.
        tokenizer: The tokenizer, where it has more special tokens than that of `base`.

    Raises:
        ConfigError: The adapter to be trained is not the one that there is, or cannot be; or it
            would need rows for new tokens, which are none of its matrices.
    """
    wanted = training is not None and training.lora_rank > 0
    before, config = base.config.adapter, config.without_adapter()
    if before is not None:
        if wanted and training is not None:
            ensure_same(before, training, base.path.name)
        config = config.with_adapter(before)
    config = evolve(config, vocab_size=base.config.vocab_size)
    model = build_model(base, plugins, cls=LanguageModel, for_training=True, config=config)
    known = model.tokenizer
    if wanted and tokenizer is not None and known is not None and find_new_ids(tokenizer, known):
        _refuse_new_tokens(tokenizer, base)
    if before is not None and not wanted:
        merge_adapter(model)
    if before is None and wanted and training is not None:
        add_adapter(model, str(base.path), base.digest(), training)
    if tokenizer is not None and known is not None:
        model = grow_vocabulary(model, tokenizer)
    _begin_run(model, base)
    return model


def outline_from(
    base: Opened,
    config: GPTConfig,
    plugins: Plugins,
    world: World,
    tokenizer: Tokenizer | None = None,
) -> Outline | None:
    """Outline the model that `start_from` builds, for processes that will hold parts of it.

    Args:
        base: See `start_from`.
        config: See `start_from`.
        plugins: See `start_from`.
        world: The processes.
        tokenizer: See `start_from`.

    Returns:
        None where its tensors are not those of `base`, but are to be made of them.
    """
    is_cut = config.block_size != base.config.block_size and POSITIONS in base.shapes()
    known = build_tokenizer(base.tokenizer, plugins)
    is_wider = tokenizer is not None and known is not None and find_new_ids(tokenizer, known)
    if base.config.adapter is not None or is_cut or is_wider:
        return None
    config = evolve(config.without_adapter(), vocab_size=base.config.vocab_size)
    outline = outline_saved(base, plugins, world, config)
    if tokenizer is not None and known is not None:
        grow_vocabulary(outline.model, tokenizer)
    _begin_run(outline.model, base)
    return outline


def make_new(
    config: GPTConfig,
    tokenizer: Tokenizer | None,
    training: TrainingConfig,
    plugins: Plugins,
    world: World,
) -> tuple[LanguageModel, Outline | None]:
    """Make a new model, as an outline where the processes can do with their parts of it."""
    if is_split(training, world):
        outline = outline_new(config, tokenizer, training.seed, plugins)
        if outline is not None:
            return outline.model, outline
    return LanguageModel(config, tokenizer, seed=training.seed, plugins=plugins), None


def make_from(
    base: Opened,
    config: GPTConfig,
    training: TrainingConfig,
    plugins: Plugins,
    tokenizer: Tokenizer | None,
    world: World,
) -> tuple[LanguageModel, Outline | None]:
    """Make a model with the weights of another one, likewise."""
    if is_split(training, world):
        outline = outline_from(base, config, plugins, world, tokenizer)
        if outline is not None:
            return outline.model, outline
    return start_from(base, config, plugins, training, tokenizer), None


def _begin_run(model: LanguageModel, base: Opened) -> None:
    """Let a model begin a run of its own, whose lineage names the other model."""
    # A guard is needed by the run that it judged, not by one that begins with its weights.
    model.needs = {
        package: need for package, need in base.needs.items() if GENERATE in need["needed_for"]
    }
    model.history = History()


def _refuse_new_tokens(tokenizer: Tokenizer, base: Opened) -> None:
    """Raise for new special tokens beside an adapter.

    Raises:
        ConfigError: Always.
    """
    what = f"is given, but {base.path.name} lacks some of the data's special tokens, of which "
    what += f"an adapter could learn nothing (its vocabulary would have {tokenizer.n_vocab} ids)"
    fix = "give the base these tokens first by a run without it, or use a chat_template it has"
    raise ConfigError(Problem("", "lora_rank", what, fix, kind="training.adapter"))


def grow_vocabulary(model: M, tokenizer: Tokenizer) -> M:
    """Return a model with more special tokens, as it is in all else; see `add_rows`.

    Args:
        model: The model, whose tokenizer has fewer; it is changed where no rows are needed.
        tokenizer: The new tokenizer, as `extend_tokenizer` returns it.

    Raises:
        PluginError: The model's own tokenizer is of a plugin that is not installed.
    """
    before, size = model.need_tokenizer(), max(model.config.vocab_size, tokenizer.n_vocab)
    new_ids, grown = find_new_ids(tokenizer, before), model
    if new_ids:
        weights = add_rows(
            model.state_dict(),
            model.config,
            size,
            model.plugins.layouts,
            in_use=before.n_vocab,
            new_ids=new_ids,
        )
        with torch.device("meta"):
            config = evolve(model.config, vocab_size=size)
            grown = type(model)(config, tokenizer, plugins=model.plugins)
        grown.load_weights(weights, dtype=None)
        grown.train(model.training)
    known = {} if model.tokenizer_state is None else to_document(model.tokenizer_state)
    grown.tokenizer = tokenizer
    grown.tokenizer_state = from_document(TokenizerState, {**known, **tokenizer.state()})
    grown.needs, grown.opened_from, grown.history = model.needs, model.opened_from, model.history
    return grown


def lineage_of(base: Opened, name: str) -> tuple[Ancestor, ...]:
    """Return the lineage of a model that starts with the weights of `base`.

    Args:
        base: The other model.
        name: What the user calls it.

    Raises:
        FormatError: The weights of `base` are not what was saved.
    """
    state = base.training_state
    before = () if state is None else state.lineage
    step = 0 if state is None else state.step
    return (*before, Ancestor(model=record_path(name), step=step, sha256=base.digest()))


def outline_to_train(opened: Opened, plugins: Plugins, world: World) -> Outline:
    """Outline the model of a checkpoint, for processes that will hold parts of it.

    Raises:
        FormatError: See `model_to_train`.
    """
    check_tensors(opened)
    opened.need_tokenizer()
    return outline_saved(opened, plugins, world)


def model_to_train(opened: Opened, plugins: Plugins, cls: type[M]) -> M:
    """Build the model of a checkpoint, to train on, on the CPU.

    Raises:
        FormatError: It has no tokenizer, or its tensors cannot be read or are not what was saved.
    """
    check_tensors(opened)
    opened.need_tokenizer()
    return build_model(opened, plugins, cls=cls, for_training=True)


def resumed_optimizer(
    opened: Opened, model: LanguageModel, training: TrainingConfig
) -> torch.optim.Optimizer:
    """Build the optimizer of a checkpoint, with its state where there is one.

    Raises:
        FormatError: The state is of another model.
    """
    from mypt.engine.optimizers.build import continue_optimizer

    saved = opened.optimizer()
    is_mapped = not holds_shards(opened.path) and not is_sharded(model)
    if saved is not None and is_mapped and next(model.parameters()).device.type == "cpu":
        saved = {**saved, "state": _copy_tensors(saved["state"])}
    return continue_optimizer(model, training, saved)


def _copy_tensors(state: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the tensors of a state, which are mapped to a file, in memory of their own.

    They would take it at the first update, after it was counted what is free.
    """
    return {
        name: {key: value if is_number(value) else value.clone() for key, value in entry.items()}
        for name, entry in state.items()
    }
