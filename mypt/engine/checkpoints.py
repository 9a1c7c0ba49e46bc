"""Bundles of models: write one from a model, build a model from one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve

from mypt.engine.gpt import GPT
from mypt.engine.needs import check_guards, needed_plugins
from mypt.engine.opening import Opened, is_checkpoint, open_checkpoint
from mypt.engine.options import checked_training
from mypt.engine.places import model_dir
from mypt.format.bundle import save_bundle
from mypt.format.commit import open_for_writing
from mypt.format.documents import (
    TokenizerState,
    TrainingConfig,
    TrainingState,
    from_document,
    to_document,
)
from mypt.format.errors import FormatError, Problem
from mypt.format.version import MYPT_VERSION
from mypt.model.initialisation import WithoutValues
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.commit import BundleWriter
    from mypt.format.documents import GPTConfig
    from mypt.plugins.contracts import Tokenizer

WRITTEN_BY = f"mypt {MYPT_VERSION}"
OPTIMIZER_FILE = "optimizer.pt"


def build_tokenizer(state: TokenizerState | None, plugins: Plugins) -> Tokenizer | None:
    """Build the tokenizer of a bundle.

    Returns:
        None for a model of bare ids, and where no installed plugin offers its kind: the weights
        can be used without it.
    """
    if state is None or state.token_kind not in plugins.tokenizers:
        return None
    return plugins.tokenizer(state.token_kind).build(to_document(state))


def build_model(opened: Opened, plugins: Plugins, *, for_training: bool) -> GPT:
    """Build the model of a checkpoint, on the CPU, in float32.

    Args:
        opened: The checkpoint.
        plugins: Where its parts and its tokenizer are looked up.
        for_training: Give the model memory of its own. Without it the weights stay mapped to
            the file, which costs neither the reading nor the memory until they are used.
    """
    with torch.device("meta"), WithoutValues():
        model = GPT(opened.config, build_tokenizer(opened.tokenizer, plugins), plugins=plugins)
    model.tokenizer_state = opened.tokenizer
    model.needs = opened.needs
    weights = opened.weights()
    if for_training:
        weights = {name: tensor.clone() for name, tensor in weights.items()}
    model.load_weights(weights, file=str(opened.path))
    return model.train(for_training)


def write_bundle(
    writer: BundleWriter,
    model: GPT,
    state: TrainingState | None,
    weights: Mapping[str, torch.Tensor],
    optimizer: Mapping[str, Any] | None,
    dtype: torch.dtype | None = None,
) -> None:
    """Commit a model as the next generation of a bundle.

    Args:
        writer: Holder of the bundle's lock.
        model: Gives config and tokenizer.
        state: Progress; None for a bundle that only inference needs.
        weights: By name, on any device. They must not change until they are written.
        optimizer: AdamW state dict. It must not change until it is written.
        dtype: Type of the weights on disk; by default the one they are trained in.
    """
    if dtype is not None:
        weights = _converted(weights, dtype)
    if state is not None:
        state = evolve(state, optimizer_file=OPTIMIZER_FILE if optimizer else None)
    tokenizer = _tokenizer_state(model)
    save_bundle(
        writer,
        config=model.config,
        tokenizer=tokenizer,
        training_state=state,
        weights=weights,
        optimizer=optimizer,
        written_by=WRITTEN_BY,
        plugins=needed_plugins(model.plugins, model.config, tokenizer, state, model.needs),
    )


def _converted(weights: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Convert the weights; tied ones stay tied."""
    made = {tensor.data_ptr(): tensor.to(dtype) for tensor in weights.values()}
    return {name: made[tensor.data_ptr()] for name, tensor in weights.items()}


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Give the weights to save, by name."""
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def _tokenizer_state(model: GPT) -> TokenizerState | None:
    """Give what the tokenizer says of itself, and what else its document had."""
    if model.tokenizer is None:
        return model.tokenizer_state
    ours, before = model.tokenizer.state(), model.tokenizer_state
    if before is not None and before.token_kind == model.tokenizer.token_kind:
        ours = {**to_document(before), **ours}
    return from_document(TokenizerState, ours)


def save_model(
    model: GPT,
    folder: Path,
    step: int | None,
    optimizer: Mapping[str, Any] | None,
    training_config: Mapping[str, Any],
) -> None:
    """Save a model outside of a training run; see `GPT.save_checkpoint_bundle`."""
    state = None
    if step is not None:
        training = checked_training(training_config, TrainingConfig())
        state = TrainingState(step=step, training_config=training)
    with open_for_writing(folder) as writer:
        write_bundle(writer, model, state, weights_of(model), optimizer)


class CheckpointManager:
    """The checkpoints of one model, by its name.

    Attributes:
        model_name: Its name.
        checkpoint_dir: Folder of its bundle, `checkpoints/<model_name>`.
    """

    def __init__(self, model_name: str) -> None:
        """Name the model.

        Raises:
            UsageError: The name has path separators or cannot be that of a folder.
        """
        self.model_name = model_name
        self.checkpoint_dir = model_dir(model_name)

    def get_path(self, file: str) -> Path:
        """Give the path of a file in the model's folder."""
        return self.checkpoint_dir / file

    def exists(self, *, plugins: Plugins | None = None) -> bool:
        """Tell whether there is a checkpoint, of whatever format."""
        return is_checkpoint(self.checkpoint_dir, load_plugins() if plugins is None else plugins)

    @staticmethod
    def load_for_inference(model_name: str, *, plugins: Plugins | None = None) -> GPT:
        """Open a model in evaluation mode, as `mypt.load` does."""
        from mypt.engine.loading import load

        return load(model_name, plugins=plugins)

    def initialize_for_training(
        self,
        config: GPTConfig,
        tokenization: str = "gpt2",
        text: str = "",
        learning_rate: float = 3e-4,
        *,
        plugins: Plugins | None = None,
    ) -> tuple[GPT, torch.optim.Optimizer, int]:
        """Resume the model if it has a bundle, else make a new one.

        Args:
            config: Architecture of a new model; a saved one keeps its own. `vocab_size` follows
                the tokenizer.
            tokenization: `token_kind` of a new model.
            text: Text that a new vocabulary is made from.
            learning_rate: Learning rate of the optimizer.
            plugins: Where parts and tokenizers are looked up.

        Returns:
            Model in training mode, optimizer, and the step to go on from.
        """
        from mypt.engine.optimizer import make_optimizer

        plugins = load_plugins() if plugins is None else plugins
        training = TrainingConfig(learning_rate=learning_rate)
        if self.exists(plugins=plugins):
            opened = open_checkpoint(self.checkpoint_dir, plugins)
            return resume(opened, training, plugins, torch.device("cpu"))
        tokenizer = plugins.tokenizer(tokenization).trained_on([text])
        model = GPT(evolve(config, vocab_size=tokenizer.vocab_size), tokenizer, plugins=plugins)
        return model, make_optimizer(model, training), 0


def resume(
    opened: Opened, training: TrainingConfig, plugins: Plugins, device: torch.device
) -> tuple[GPT, torch.optim.Optimizer, int]:
    """Build the model and the optimizer of a checkpoint, to train on.

    Raises:
        FormatError: It has no tokenizer, or its optimizer state is of another model.
        PluginError: The run is judged by a gold guard of a plugin that is not here.
    """
    check_guards(training, opened.needs, plugins, str(opened.path))
    model = model_to_train(opened, plugins).to(device)
    step = opened.training_state.step if opened.training_state is not None else 0
    return model, resumed_optimizer(opened, model, training), step


def model_to_train(opened: Opened, plugins: Plugins) -> GPT:
    """Build the model of a checkpoint, to train on, on the CPU.

    Raises:
        FormatError: It has no tokenizer, or its tensors are not what was saved.
    """
    opened.check()
    if opened.tokenizer is None:
        what, fix = "is missing", "restore it: training needs the vocabulary of the model"
        raise FormatError(Problem(str(opened.path / "tokenizer.json"), "", what, fix))
    return build_model(opened, plugins, for_training=True)


def resumed_optimizer(
    opened: Opened, model: GPT, training: TrainingConfig
) -> torch.optim.Optimizer:
    """Build the optimizer of a checkpoint, with its state where there is one.

    Raises:
        FormatError: The state is of another model.
    """
    from mypt.engine.optimizer import (  # slow to import
        make_optimizer,
        regrouped,
        restore_optimizer,
    )

    optimizer = make_optimizer(model, training)
    saved, state = opened.optimizer(), opened.training_state
    before = training if state is None else state.training_config
    if saved is not None and before.weight_decay_on != training.weight_decay_on:
        saved = regrouped(saved, model, before.weight_decay_on, training.weight_decay_on)
    if saved is not None:
        restore_optimizer(optimizer, saved, str(opened.path / OPTIMIZER_FILE))
    return optimizer
