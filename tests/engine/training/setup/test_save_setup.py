"""A run that has no memory for a copy of its tensors saves as any other does."""

import pytest

from mypt.engine.training.setup import save_setup


@pytest.mark.parametrize("name", ["cat", "cat_gold", "cat_fp16"])
def test_a_run_that_saves_at_once_leaves_the_same_bytes(train, name, in_tmp, monkeypatch):
    train("dog", snapshot_interval=5)
    monkeypatch.setattr(save_setup, "check_memory", lambda *_: 0)
    train("cat", snapshot_interval=5)
    files = ["model.pt", "optimizer.pt"] if name != "cat_fp16" else ["model.pt"]
    for file in files:
        told = [
            (in_tmp / "checkpoints" / folder / file).read_bytes()
            for folder in (name, name.replace("cat", "dog"))
        ]
        assert told[0] == told[1]
