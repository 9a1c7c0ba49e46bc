"""The one door for reading: whatever mypt can open, as a model ready for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.engine.checkpoints import build_model, is_bundle
from mypt.engine.places import find_checkpoint
from mypt.format.bundle import read_bundle
from mypt.format.errors import FormatError, Problem
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from mypt.engine.gpt import GPT


def load(
    path_or_name: str | Path,
    *,
    device: str | torch.device = "cpu",
    plugins: Plugins | None = None,
) -> GPT:
    """Open a checkpoint for inference.

    Args:
        path_or_name: A path, or the name of a model in `checkpoints/`.
        device: Where the model goes.
        plugins: Where parts and tokenizers are looked up; by default all that are installed.

    Returns:
        A `GPT` in evaluation mode, with `.config` and `.tokenizer`.

    Raises:
        UsageError: There is no such checkpoint.
        FormatError: It is not a checkpoint, or a file of it is damaged.
        PluginError: It needs a plugin that is not installed.
    """
    plugins = load_plugins() if plugins is None else plugins
    path = find_checkpoint(path_or_name)
    if not is_bundle(path):
        what = "is not a checkpoint that mypt can read"
        fix = "name a folder with config.json and model.pt"
        raise FormatError(Problem(str(path), "", what, fix, kind="checkpoint.unknown"))
    model = build_model(read_bundle(path, plugins.layouts), plugins, for_training=False)
    return model.to(device)
