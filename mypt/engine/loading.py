"""The one door for reading: whatever mypt can open, as a model ready for inference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.engine.memory import LOADING, sparing
from mypt.engine.opening import open_checkpoint
from mypt.engine.places import find_checkpoint
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from mypt.engine.gpt import GPT
    from mypt.plugins.contracts import Tokenizer


@sparing(LOADING)
def load(
    path_or_name: str | Path,
    *,
    device: str | torch.device = "cpu",
    plugins: Plugins | None = None,
    options: Mapping[str, Any] | None = None,
) -> GPT:
    """Open a checkpoint for inference.

    Args:
        path_or_name: A path, or the name of a model in `checkpoints/`.
        device: Where the model goes.
        plugins: Where parts and tokenizers are looked up; by default all that are installed.
        options: What the reader of a foreign checkpoint has to be told, such as
            `{"lora_alpha": 32.0}` or `{"training_text": "input.txt"}`; its error asks for it.

    Returns:
        A `GPT` in evaluation mode, with `.config` and `.tokenizer`.

    Raises:
        UsageError: There is no such checkpoint, or its reader has no such option.
        FormatError: It is not a checkpoint, or a file of it is damaged.
        PluginError: It needs a plugin that is not installed.
        ConfigError: There is no such device here.
    """
    plugins = load_plugins() if plugins is None else plugins
    opened = open_checkpoint(find_checkpoint(path_or_name), plugins, options)
    from mypt.engine.checkpoints import build_model  # torch, for a file that is sound
    from mypt.engine.devices import choose_device

    where = choose_device(device)
    return build_model(opened, plugins, for_training=False).to(where)


@sparing(LOADING)
def load_with_optimizer(
    path: str | Path, device: str | torch.device
) -> tuple[GPT, Tokenizer | None, int, Mapping[str, Any] | None]:
    """Open a checkpoint with its step and optimizer state; see `GPT.load_legacy`."""
    plugins = load_plugins()
    opened = open_checkpoint(Path(path), plugins)
    from mypt.engine.checkpoints import build_model
    from mypt.engine.devices import choose_device

    where = choose_device(device)
    model = build_model(opened, plugins, for_training=True).eval().to(where)
    step = 0 if opened.training_state is None else opened.training_state.step
    return model, model.tokenizer, step, opened.optimizer()
