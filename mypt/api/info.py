"""The contents of a checkpoint, without its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.api.argument_rules import PLUGINS
from mypt.api.summary import summarize_checkpoint
from mypt.engine.checkpoints.copies import find_copies
from mypt.engine.checkpoints.paths import find_checkpoint
from mypt.engine.stopping.ends import explain_early_end
from mypt.format.bundle.base import find_base
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.documents.convert import to_document, to_recorded_document
from mypt.format.errors import FormatError
from mypt.format.layout import are_parts_known, count_model_parameters
from mypt.format.open import open_checkpoint
from mypt.format.rules.arguments import MAPPING, PATH, checked, optional
from mypt.format.rules.requirements import UNKNOWN
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.errors import Problem
    from mypt.format.opened import Opened


@checked(path_or_name=PATH, plugins=PLUGINS, options=optional(MAPPING))
@reopen_if_saved
def get_model_info(
    path_or_name: str | Path,
    *,
    plugins: Plugins | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a description of a checkpoint, without loading weights or importing torch.

    Args:
        path_or_name: A path, or the name of a model in `checkpoints/`.
        plugins: Where architecture parts are looked up; by default all that are installed.
        options: Settings for the reader of a foreign checkpoint; see `mypt.load`.

    Returns:
        `config`, `training_state` and `tokenizer` as their JSON objects (None where the file is
        absent): what the files leave out is absent where nobody knows what it was, which is so of
        everything in `training_state` and of `batch_size`, `dropout` and `device` in `config`, and
        filled in where its absence has a meaning. Further `folder`, `format` and the other figures
        of `list_checkpoints` up to `copy_of`, `files` with the size of each in bytes, `copies` (the
        folders of its gold, rounded, averaged and numbered copies), `ended` (why its run ended
        before `max_iters`; None where it did not), `adapter` (of an adapter the path of its `base`,
        None where that is not there, the `problem` then, and the number of `base_parameters`; None
        for a whole model), `edits` (of its documents since it was saved, harmless ones too),
        `notes` (all that a user should know of it, such as what its reader mapped, left out or
        assumed), `warnings` (edits that its output may depend on, what is wrong with its training
        state or its optimizer, which only training needs, changed versions of plugins, and features
        of a later version of the format), and `plugins`: by package the `version` it requires (None
        if that is not recorded), `needed_for` as in a manifest, and the version `installed`, None
        if it is not or cannot be used, and then in `absence` why.

    Raises:
        UsageError: There is no such checkpoint, or its reader has no such option.
        FormatError: The checkpoint is damaged.
        ConfigError: An argument is of another type.
    """
    plugins = load_plugins() if plugins is None else plugins
    opened = open_checkpoint(find_checkpoint(path_or_name), plugins, options, without_model=True)
    state, tokenizer = opened.training_state, opened.tokenizer
    return {
        "folder": str(opened.path),
        **summarize_checkpoint(opened, plugins),
        "ended": None if state is None or state.copy_of else explain_early_end(state),
        "files": dict(sorted(opened.sizes.items())),
        "config": to_recorded_document(opened.config, versioned=False),
        "tokenizer": None if tokenizer is None else to_document(tokenizer, versioned=False),
        "training_state": None if state is None else to_recorded_document(state, versioned=False),
        "adapter": _describe_adapter(opened, plugins),
        "edits": [str(edit) for edit in opened.edits],
        "notes": list(opened.notes),
        "warnings": [*opened.warnings, *map(str, _list_unknown(opened))],
        "copies": [
            str(path) for path in find_copies(opened.path, None if state is None else state.run_id)
        ],
        "plugins": {
            package: {**need, **_describe_presence(package, plugins)}
            for package, need in opened.needs.items()
        },
    }


def _describe_adapter(opened: Opened, plugins: Plugins) -> dict[str, Any] | None:
    config = opened.config
    if config.adapter is None:
        return None
    base, problem = None, None
    try:
        base = str(find_base(opened.path, config.adapter, opened.base_path))
    except FormatError as error:
        problem = str(error.problems[0])
    whole = config.without_adapter()
    is_known = are_parts_known(whole, plugins.layouts)
    count = count_model_parameters(whole, plugins.layouts) if is_known else None
    return {"base": base, "problem": problem, "base_parameters": count}


def _list_unknown(opened: Opened) -> list[Problem]:
    """Return the features that this version does not know; `plugins` tells of plugins."""
    return [problem for problem in opened.lacking if problem.kind == UNKNOWN]


def _describe_presence(package: str, plugins: Plugins) -> dict[str, str | None]:
    """Return the version of a package whose plugins are available, or why they are not."""
    version = plugins.version_of(package)
    absence = None if version else "; ".join(plugins.explain_absence(package))
    return {"installed": version, "absence": absence}
