"""What a checkpoint says of itself, without its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.engine.opening import open_checkpoint
from mypt.engine.places import find_checkpoint
from mypt.engine.presets import count
from mypt.format.documents import to_document
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def get_model_info(
    path_or_name: str | Path,
    *,
    plugins: Plugins | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe a checkpoint without loading weights or importing torch.

    Args:
        path_or_name: A path, or the name of a model in `checkpoints/`.
        plugins: Where architecture parts are looked up; by default all that are installed.
        options: What the reader of a foreign checkpoint has to be told; see `mypt.load`.

    Returns:
        `config`, `training_state` and `tokenizer` as their JSON objects (None where the file is
        absent), `format` ("2.0", or the name of the reader of an older one), `folder`,
        `parameters` (a tied matrix counts once), and `files` with the size of each in bytes.

    Raises:
        UsageError: There is no such checkpoint, or its reader has no such option.
        FormatError: It is damaged.
    """
    plugins = load_plugins() if plugins is None else plugins
    opened = open_checkpoint(find_checkpoint(path_or_name), plugins, options)
    state, tokenizer = opened.training_state, opened.tokenizer
    return {
        "format": opened.format,
        "folder": str(opened.path),
        "parameters": count(opened.config, plugins.layouts),
        "files": {name: path.stat().st_size for name, path in sorted(opened.files.items())},
        "config": to_document(opened.config, versioned=False),
        "tokenizer": None if tokenizer is None else to_document(tokenizer, versioned=False),
        "training_state": None if state is None else to_document(state, versioned=False),
    }
