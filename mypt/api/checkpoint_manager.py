"""Checkpoints of a model, by its name."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve

from mypt.api.argument_rules import PLUGINS
from mypt.api.gpt import GPT
from mypt.data.new_tokenizer import NewTokenizer
from mypt.engine.checkpoints.paths import model_dir
from mypt.engine.checkpoints.recovery.fall_back import FallBack, choose_fall_back, find_fall_back
from mypt.engine.checkpoints.recovery.saved_model import (
    check_whole,
    find_missing_optimizer,
    missing_problem,
)
from mypt.engine.config.overrides import override_training
from mypt.engine.config.plugin_sections import check_sections
from mypt.engine.training.start.initial_model import model_to_train, resumed_optimizer
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import to_document
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import FormatError
from mypt.format.open import is_checkpoint, open_checkpoint
from mypt.format.rules.arguments import (
    FLAG,
    MAPPING,
    TEXT,
    checked,
    instance_of,
    number_where,
    optional,
)
from mypt.format.storage.succession import finish_succession
from mypt.plugins.manager import Plugins, load_plugins
from mypt.plugins.requirements import check_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.opened import Opened

_LOGGER = logging.getLogger("mypt")


class CheckpointManager:
    """The checkpoints of one model, by its name.

    Attributes:
        model_name: Name of the model.
        checkpoint_dir: Folder of the bundle, `checkpoints/<model_name>`.
    """

    @checked(model_name=TEXT)
    def __init__(self, model_name: str) -> None:
        """Create the manager of a model.

        Raises:
            UsageError: The name is not usable as that of a folder.
        """
        self.model_name = model_name
        self.checkpoint_dir = model_dir(model_name)

    @checked(file=TEXT)
    def get_path(self, file: str) -> Path:
        """Return the path of a file in the model's folder."""
        return self.checkpoint_dir / file

    @checked(plugins=PLUGINS)
    def exists(self, *, plugins: Plugins | None = None) -> bool:
        """Return whether there is a checkpoint, in any format."""
        return is_checkpoint(self.checkpoint_dir, load_plugins() if plugins is None else plugins)

    @staticmethod
    @checked(model_name=TEXT, plugins=PLUGINS, options=optional(MAPPING))
    def load_for_inference(
        model_name: str,
        *,
        plugins: Plugins | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> GPT:
        """Load a model in evaluation mode, as `mypt.load` does."""
        from mypt.api.load import load

        return load(model_name, plugins=plugins, options=options)

    @checked(
        config=instance_of("a GPTConfig", GPTConfig),
        tokenization=TEXT,
        text=TEXT,
        learning_rate=number_where(lambda rate: 0 <= rate < math.inf, "a finite number from 0"),
        fall_back=FLAG,
        plugins=PLUGINS,
        options=optional(MAPPING),
    )
    def initialize_for_training(
        self,
        config: GPTConfig,
        tokenization: str = "gpt2",
        text: str = "",
        learning_rate: float | None = None,
        *,
        fall_back: bool = False,
        plugins: Plugins | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[GPT, torch.optim.Optimizer, int]:
        """Resume the model if it has a checkpoint, or else create a new one.

        Args:
            config: Architecture of a new model; a saved one keeps its own. The tokenizer sets
                `vocab_size`; its `plugins` hold the options of the tokenizer too.
            tokenization: `token_kind` of a new model.
            text: Text to build a new vocabulary from.
            learning_rate: Peak learning rate; by default that of the saved run, or 3e-4. The other
                hyperparameters of the optimizer are those of the saved run, or the defaults.
            fall_back: Whether to put the newest whole copy in the place of a model that is
                damaged, which is renamed; nothing is deleted.
            plugins: Where parts and tokenizers are looked up; by default all that are installed.
            options: Settings for the reader of a foreign checkpoint; see `mypt.load`.

        Returns:
            Model in training mode, optimizer, and the step to continue from.

        Raises:
            FormatError: The saved model is damaged; with its newest whole copy, if there is one.
            LockedError: Another process is writing to it, and so it cannot be renamed.
        """
        from mypt.engine.optimizers.build import make_optimizer

        plugins = load_plugins() if plugins is None else plugins
        given = {} if learning_rate is None else {"learning_rate": learning_rate}
        folder = self.checkpoint_dir
        finish_succession(folder)
        if self.exists(plugins=plugins):
            return _resume(folder, given, plugins, options, fall_back=fall_back)
        found = None
        if fall_back:
            found = find_fall_back(folder, (missing_problem(folder),), plugins)
        if found is not None:
            return _take(found, given, plugins)
        document = {**to_document(config), "tokenization": tokenization}
        check_sections(document, plugins.settings)
        wanted = NewTokenizer(tokenization, sections=config.plugins)
        tokenizer = wanted.train([text], plugins)
        model = GPT(evolve(config, vocab_size=tokenizer.vocab_size), tokenizer, plugins=plugins)
        return model, make_optimizer(model, override_training(given, TrainingConfig())), 0


def _resume(
    folder: Path,
    given: Mapping[str, Any],
    plugins: Plugins,
    options: Mapping[str, Any] | None,
    *,
    fall_back: bool,
) -> tuple[GPT, torch.optim.Optimizer, int]:
    """Resume a model, or where it is damaged and that is wished, its newest whole copy."""
    try:
        return _resume_from(folder, given, plugins, options, is_strict=fall_back)
    except FormatError as error:
        found = choose_fall_back(folder, error, plugins, is_wanted=fall_back)
    return _take(found, given, plugins)


def _take(
    fall_back: FallBack, given: Mapping[str, Any], plugins: Plugins
) -> tuple[GPT, torch.optim.Optimizer, int]:
    for notice in fall_back.notices:
        _LOGGER.warning("%s", notice)
    fall_back.take()
    return _resume_from(fall_back.folder, given, plugins, None, is_strict=False)


@reopen_if_saved
def _resume_from(
    folder: Path,
    given: Mapping[str, Any],
    plugins: Plugins,
    options: Mapping[str, Any] | None,
    *,
    is_strict: bool,
) -> tuple[GPT, torch.optim.Optimizer, int]:
    opened = open_checkpoint(folder, plugins, options)
    opened.check_flaws()
    if is_strict:
        check_whole(opened, find_missing_optimizer(opened))
    state = opened.training_state
    saved = TrainingConfig() if state is None else state.training_config
    return resume(opened, override_training(given, saved), plugins, torch.device("cpu"))


def resume(
    opened: Opened, training: TrainingConfig, plugins: Plugins, device: torch.device
) -> tuple[GPT, torch.optim.Optimizer, int]:
    """Build the model and the optimizer of a checkpoint, to continue its training.

    Raises:
        FormatError: The checkpoint has no tokenizer, or the optimizer state of another model.
        PluginError: The optimizer or a gold guard of the run is of a plugin that is not installed.
    """
    check_run(opened.training_state, training, opened.needs, plugins, opened.path)
    model = model_to_train(opened, plugins, GPT).to(device)
    step = opened.training_state.step if opened.training_state is not None else 0
    return model, resumed_optimizer(opened, model, training), step
