"""Load any checkpoint that mypt can read, as a model ready for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.api.argument_rules import DEVICE, DTYPE, PLUGINS
from mypt.engine.checkpoints.paths import find_checkpoint, with_base
from mypt.engine.checkpoints.recovery.candidates import naming_copies
from mypt.engine.runtime.out_of_memory import LOADING, explain_oom
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.open import open_checkpoint
from mypt.format.opened import Opened, log_warnings
from mypt.format.rules.arguments import MAPPING, PATH, checked, optional
from mypt.gc_pause import pause_gc
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch

    from mypt.api.gpt import GPT


@checked(
    path_or_name=PATH,
    device=DEVICE,
    dtype=optional(DTYPE),
    plugins=PLUGINS,
    options=optional(MAPPING),
    base=optional(PATH),
)
def load(
    path_or_name: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    plugins: Plugins | None = None,
    options: Mapping[str, Any] | None = None,
    base: str | Path | None = None,
) -> GPT:
    """Load a checkpoint for inference.

    A damaged training state or optimizer state, which only training needs, is logged as a warning
    of the logger `mypt`, and so is a plugin of another version than it was saved with.

    Args:
        path_or_name: A path, or the name of a model in `checkpoints/`.
        device: Device of the model.
        dtype: The dtype that its weights are rounded to and that it computes in: float32, which is
            the default, bf16 or fp16. `score` measures the cost in loss.
        plugins: Where parts and tokenizers are looked up; by default all that are installed.
        options: Settings for the reader of a foreign checkpoint, such as `{"lora_alpha": 32.0}` or
            `{"training_text": "input.txt"}`; an error names those that are missing.
        base: Of an adapter, its base: a path or a name. By default it is looked for beside the
            adapter, and where it was when the adapter began.

    Returns:
        A `GPT` in evaluation mode, with `.config` and `.tokenizer`.

    Raises:
        UsageError: There is no such checkpoint, or its reader has no such option.
        FormatError: The path is not a checkpoint, or one of its files is damaged; with the newest
            copy of the model that is whole, if there is one.
        PluginError: The checkpoint requires a plugin that is not installed.
        ConfigError: The device is not available, or an argument is of another type.
    """
    with pause_gc():
        plugins = load_plugins() if plugins is None else plugins
        model = open_model(
            find_checkpoint(path_or_name), plugins, options, device=device, base=base
        )
        return model if dtype is None else model.to(dtype)


@explain_oom(LOADING)
@reopen_if_saved
def open_model(
    path: Path,
    plugins: Plugins,
    options: Mapping[str, Any] | None = None,
    *,
    device: str | torch.device | None,
    report: Callable[[Opened], object] = log_warnings,
    base: str | Path | None = None,
) -> GPT:
    """Load the checkpoint at a path for inference, as `load` does.

    It is opened again if a run saves it meanwhile.

    Args:
        path: A folder or a file.
        plugins: Where parts and tokenizers are looked up.
        options: Settings for the reader of a foreign checkpoint; see `load`.
        device: Device of the model; None for the fastest available.
        report: Called with the checkpoint before any weight is read, to show the user its edits
            and warnings.
        base: See `load`.
    """
    with naming_copies(path, plugins):
        opened = with_base(open_checkpoint(path, plugins, options), base)
        report(opened)
        from mypt.api.gpt import GPT  # torch, for a file that is sound
        from mypt.engine.checkpoints.build import build_model

        return build_model(opened, plugins, cls=GPT, device=device)
