"""Opening the saved model that a run goes on from."""

from pathlib import Path

from mypt.engine.checkpoints.recovery.saved_model import (
    explain_remains,
    find_missing_optimizer,
    open_saved,
)
from tests.support.sharded_folders import shard_bundle

CAT = Path("checkpoints/cat")


def test_remains_of_a_model_are_told_from_an_empty_folder(run):
    (CAT / "config.json").unlink()
    assert "holds model.pt and training_state.json and optimizer.pt" in explain_remains(CAT).what
    for name in ("model.pt", "training_state.json", "optimizer.pt"):
        (CAT / name).unlink()
    assert explain_remains(CAT) is None


def test_an_optimizer_that_was_never_saved_is_not_missing(run, plugins):
    assert find_missing_optimizer(open_saved(CAT, None, {}, plugins)) is None
    (CAT / "optimizer.pt").unlink()
    assert "is missing" in find_missing_optimizer(open_saved(CAT, None, {}, plugins)).what


def test_the_optimizer_of_a_sharded_save_is_in_its_parts(run, plugins):
    opened = open_saved(shard_bundle(CAT), None, {}, plugins)
    assert opened.training_state.optimizer_file == "optimizer.pt"
    assert find_missing_optimizer(opened) is None
