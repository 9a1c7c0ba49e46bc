"""What a checkpoint says of itself, without its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.engine.places import find_checkpoint
from mypt.engine.presets import count
from mypt.format.bundle import read_bundle
from mypt.format.documents import to_document
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from pathlib import Path


def get_model_info(path_or_name: str | Path, *, plugins: Plugins | None = None) -> dict[str, Any]:
    """Describe a checkpoint without loading weights or importing torch.

    Args:
        path_or_name: A path, or the name of a model in `checkpoints/`.
        plugins: Where architecture parts are looked up; by default all that are installed.

    Returns:
        `config`, `training_state` and `tokenizer` as their JSON objects (None where the file is
        absent), `format` such as "2.0", `folder`, `parameters` (a tied matrix counts once), and
        `files` with the size of each in bytes.

    Raises:
        UsageError: There is no such checkpoint.
        FormatError: It is damaged.
    """
    plugins = load_plugins() if plugins is None else plugins
    bundle = read_bundle(find_checkpoint(path_or_name), plugins.layouts)
    state, tokenizer = bundle.training_state, bundle.tokenizer
    return {
        "format": bundle.format_version,
        "folder": str(bundle.folder),
        "parameters": count(bundle.config, plugins.layouts),
        "files": {name: path.stat().st_size for name, path in sorted(bundle.paths.items())},
        "config": to_document(bundle.config, versioned=False),
        "tokenizer": None if tokenizer is None else to_document(tokenizer, versioned=False),
        "training_state": None if state is None else to_document(state, versioned=False),
    }
