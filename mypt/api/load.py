"""The one door for reading: whatever mypt can open, as a model ready for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.engine.checkpoints.paths import find_checkpoint
from mypt.engine.runtime.out_of_memory import LOADING, sparing
from mypt.format.open import open_checkpoint
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from mypt.api.gpt import GPT


@sparing(LOADING)
def load(
    path_or_name: str | Path,
    *,
    device: str | torch.device = "cpu",
    plugins: Plugins | None = None,
    options: Mapping[str, Any] | None = None,
) -> GPT:
    """Open a checkpoint for inference.

    A damaged training state or optimizer state, which only training needs, is logged as a warning
    of the logger `mypt`.

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
    from mypt.api.gpt import GPT  # torch, for a file that is sound
    from mypt.engine.checkpoints.build import build_model, log_warnings
    from mypt.engine.runtime.devices import choose_device

    log_warnings(opened)
    where = choose_device(device)
    return build_model(opened, plugins, cls=GPT, for_training=False).to(where)
