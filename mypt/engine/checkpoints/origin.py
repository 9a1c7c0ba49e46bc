"""Where a model in memory came from: the checkpoint it was read from, and what that still holds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mypt.engine.history import History
from mypt.format.bundle.detect import classify
from mypt.format.bundle.read import read_bundle
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.documents.training import Ancestor
from mypt.format.storage import files
from mypt.format.storage.commit import content_digest
from mypt.format.tensors.pt_writer import write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from mypt.format.opened import Opened
    from mypt.plugins.manager import Plugins


def read_history(opened: Opened) -> History:
    """Return the history of a model that is built from a checkpoint."""
    record = opened.manifest.files.get(files.MODEL) if opened.manifest else None
    return History(
        state=opened.training_state,
        path=opened.path.resolve(),
        digests=frozenset() if record is None else frozenset({record.sha256}),
        doubts=opened.doubts,
    )


@reopen_if_saved
def find_optimizer(history: History, plugins: Plugins) -> Mapping[str, Any] | None:
    """Return the optimizer state that belongs to a model, from memory or from its bundle.

    Args:
        history: The history of the model.
        plugins: Where the parts of its bundle are looked up.

    Returns:
        Content of an `optimizer.pt`; None where there is none, or where its bundle has been saved
        by a run since.

    Raises:
        FormatError: The optimizer state in its bundle is damaged.
    """
    if history.optimizer is not None:
        return history.optimizer if history.optimizer["state"] else None
    if history.state is None or history.path is None or classify(history.path) != "bundle":
        return None
    bundle = read_bundle(history.path, plugins.layouts, plugins.settings)
    record = bundle.manifest.files.get(files.MODEL) if bundle.manifest else None
    if record is not None and record.sha256 not in history.digests:
        return None
    return bundle.optimizer()


def lineage_from(history: History, weights: Mapping[str, Tensor]) -> tuple[Ancestor, ...]:
    """Return the lineage of a run of its own that begins with the weights of a model.

    Args:
        history: The history of the model.
        weights: Its weights by name, of which the digest is made.

    Returns:
        Nothing for a model that was neither trained nor read from a checkpoint.
    """
    if history.lineage is not None:
        return history.lineage
    if history.step == 0 and history.path is None:
        return ()
    before = () if history.state is None else history.state.lineage
    name = "unsaved" if history.path is None else history.path.name
    digest = content_digest(partial(write_tensors, value=weights))
    return (*before, Ancestor(model=name, step=history.step, sha256=digest))
