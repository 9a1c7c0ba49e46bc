"""A save is announced once it is on disk: gold first, and then what was logged meanwhile."""

import threading

import pytest

from mypt.engine.checkpoints.checkpointer import Checkpointer
from mypt.engine.logging.jsonl import JsonlSink
from mypt.engine.training.trainer import Trainer
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import Problem, SaveError
from mypt.format.storage.commit import BundleWriter


def test_gold_is_announced_once_it_is_on_disk_and_before_what_happened_meanwhile(
    train, logged, in_tmp, monkeypatch
):
    """The save of step 6 lasts for three steps; another phase begins meanwhile."""
    write, update = Checkpointer.write_copies, Trainer.update
    stepped, found = threading.Event(), []

    def write_late(self, copy, state, kinds):
        assert state.step != 6 or stepped.wait(10)
        write(self, copy, state, kinds)

    def count(self):
        update(self)
        if self.state.step == 9:
            stepped.set()
            self._saver._writing.result()

    def emit(sink, event):
        if event["event"] == "gold_checkpoint":
            folder = in_tmp / "checkpoints"
            steps = [
                read_bundle(folder / name).training_state.step
                for name in ("cat_gold", "cat")
                if (folder / name / "manifest.json").exists()
            ]
            found.append((event["iter"], *steps))
        emit_line(sink, event)

    emit_line = JsonlSink.emit
    monkeypatch.setattr(Checkpointer, "write_copies", write_late)
    monkeypatch.setattr(Trainer, "update", count)
    monkeypatch.setattr(JsonlSink, "emit", emit)
    phases = [
        {"name": "a", "until_iter": 6, "input_file": "input.txt"},
        {"name": "b", "input_file": "input.txt"},
    ]
    train(curriculum=phases, max_iters=17, gold_guards={"trend": False, "overfit": False})
    assert found == [(0, 0), (6, 6, 0), (12, 12, 6), (17, 17, 12)]
    told = [(e["event"], e["iter"]) for e in logged() if "iter" in e]
    at = told.index(("eval", 6))
    names = ("eval", "gold_checkpoint", "saved", "phase_switch")
    assert told[at : at + 4] == [(name, 6) for name in names]


def test_gold_that_cannot_be_written_is_not_announced(train, logged, monkeypatch):
    commit = BundleWriter.commit

    def full(self, files, **options):
        if self.folder.name == "cat_gold":
            raise SaveError(Problem("cat_gold", "", "the disk is full", "free space"))
        return commit(self, files, **options)

    monkeypatch.setattr(BundleWriter, "commit", full)
    with pytest.raises(SaveError, match="the disk is full"):
        train()
    assert [e["event"] for e in logged() if "iter" in e] == ["eval", "failed"]
