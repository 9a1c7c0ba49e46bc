"""Numbered copies: which there are, which go, and what is left alone."""

import errno
import json
import shutil

import pytest

from mypt.engine.checkpoints.copies import find_snapshots, list_snapshot_steps, prune_snapshots
from mypt.engine.training.start import run_inputs
from mypt.format.bundle.read import read_bundle
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import FormatError, UsageError
from mypt.format.storage import generations
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.generations import tagged_name
from mypt.format.storage.remove import remove_bundle

OFTEN = {"snapshot_interval": 2, "eval_interval": 100, "max_iters": 9}


@pytest.fixture
def models(in_tmp):
    return in_tmp / "checkpoints"


@pytest.fixture
def numbers(models):
    """Give the steps of the folders that have the names of numbered copies."""
    digits = "[0-9]" * 8
    return lambda name="cat": sorted(
        int(path.name[-8:]) for path in models.glob(f"{name}_step{digits}")
    )


def test_without_an_interval_there_are_none(train, numbers):
    train(max_iters=2)
    assert numbers() == []


def test_every_interval_leaves_a_copy_that_is_whole(train, models, numbers):
    train(**OFTEN)
    assert numbers() == [2, 4, 6, 8]
    copy = read_bundle(models / "cat_step00000004")
    assert copy.training_state.step == 4
    assert copy.training_state.copy_of == "cat"
    assert copy.optimizer() is not None
    assert copy.notes == ()


def test_the_oldest_go_until_as_many_are_left_as_are_kept(train, numbers):
    train(**OFTEN, keep_snapshots=2)
    assert numbers() == [6, 8]


def test_a_copy_at_a_step_that_is_evaluated_too_is_kept(train, numbers):
    train(max_iters=8, eval_interval=4, snapshot_interval=4)
    assert numbers() == [4, 8]


def test_copies_change_no_weight_and_no_number(train, digests):
    train("plain", **{**OFTEN, "snapshot_interval": 0})
    train(**OFTEN, keep_snapshots=1)
    assert digests() == digests("plain")


def test_a_run_goes_on_exactly_from_a_copy(train, models, digests):
    train(**OFTEN)
    state = train("cat_step00000004", **OFTEN)
    assert state.step == 9
    assert state.exact
    assert state.copy_of is None
    assert digests("cat_step00000004") == digests()


def test_a_folder_with_a_file_of_somebodys_own_stays(train, models, numbers):
    train(**{**OFTEN, "max_iters": 2})
    (models / "cat_step00000002" / "notes.txt").write_text("the one with the rhymes")
    train(**OFTEN, keep_snapshots=1)
    assert numbers() == [2, 8]
    assert read_bundle(models / "cat_step00000002").training_state.step == 2


def test_a_copy_that_was_trained_on_is_a_model_of_its_own(train, models, numbers):
    train(**{**OFTEN, "max_iters": 2})
    train("cat_step00000002", **{**OFTEN, "snapshot_interval": 0, "max_iters": 3})
    train(**OFTEN, keep_snapshots=1)
    assert numbers() == [2, 8]
    assert list(find_snapshots(models / "cat")) == [8]


def test_a_model_of_its_own_is_not_written_over_by_a_copy(train, models, digests):
    train("cat_step00000004", max_iters=1)
    before = digests("cat_step00000004")
    with pytest.raises(UsageError, match=r"cat_step00000004: is a model of its own.*step 4 copy"):
        train(**OFTEN)
    assert digests("cat_step00000004") == before
    assert not (models / "cat").exists()
    train(**{**OFTEN, "snapshot_interval": 3})


def test_copies_of_a_model_that_was_thrown_away_do_not_count(train, models, numbers):
    train(**OFTEN)
    for name in ("cat", "cat_step00000002", "cat_step00000004"):
        assert remove_bundle(models / name)
    train(**{**OFTEN, "max_iters": 5}, keep_snapshots=1, overwrite=True)
    assert numbers() == [4, 6, 8]
    train(**{**OFTEN, "max_iters": 7}, keep_snapshots=1, overwrite=True)
    assert numbers() == [6, 8]
    train(**OFTEN, keep_snapshots=1, overwrite=True)
    assert numbers() == [8]


def test_a_copy_that_somebody_writes_to_or_has_damaged_stays_and_stops_nobody(
    train, models, numbers
):
    train(**OFTEN)
    (models / "cat_step00000004" / "training_state.json").write_text("{")
    (models / "cat_step00000006" / "manifest.json").write_text("{")
    with open_for_writing(models / "cat_step00000002"):
        prune_snapshots(models / "cat", 1, 8)
    assert numbers() == [2, 4, 6, 8]
    prune_snapshots(models / "cat", 1, 8)
    assert numbers() == [4, 6, 8]


def test_copies_of_other_models_are_not_touched(train, models, numbers):
    train(**OFTEN)
    train("cat_step", **OFTEN)
    train("ca", **OFTEN)
    prune_snapshots(models / "cat", 1, 8)
    assert numbers() == [8]
    assert numbers("ca") == numbers("cat_step") == [2, 4, 6, 8]


def test_the_steps_to_come_are_those_after_the_present_one():
    training = TrainingConfig(max_iters=10, snapshot_interval=3)
    assert list_snapshot_steps(training, 0) == [3, 6, 9]
    assert list_snapshot_steps(training, 6) == [9]
    assert list_snapshot_steps(TrainingConfig(), 0) == []


def test_the_manifest_of_a_copy_is_that_of_the_same_step(train, models, digests):
    train(**{**OFTEN, "max_iters": 8})
    assert digests("cat_step00000008") == digests()
    state = json.loads((models / "cat_step00000008" / "training_state.json").read_text())
    assert state["copy_of"] == "cat"


def test_a_copy_that_cannot_be_removed_ends_no_run(train, models, numbers, monkeypatch):
    rmtree = shutil.rmtree

    def refuse(path, **options):
        if path.name.endswith(".mypt-removed") and not options.get("ignore_errors"):
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        rmtree(path, **options)

    train(**{**OFTEN, "max_iters": 3})
    kept = (models / "cat_step00000002").rename(models / "elsewhere")
    (models / "cat_step00000002").symlink_to(kept)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        assert train(**OFTEN, keep_snapshots=1).step == 9
    log = map(json.loads, (models.parent / "logs/train/cat_eval.jsonl").read_text().splitlines())
    told = [event["message"] for event in log if event["event"] == "notice"]
    left = [f"checkpoints/.cat_step{step:08}.mypt-removed" for step in (4, 6)]
    assert [line for line in told if "removed" in line] == [
        f"An old copy stays: {place}: could not be removed: Directory not empty;"
        " the next save tries again, or remove it by hand"
        for place in left
    ]
    assert read_bundle(kept).training_state.step == 2
    prune_snapshots(models / "cat", 1, 8)
    assert numbers() == [2, 8]
    assert [path.name for path in models.glob(".*")] == []


def test_a_file_with_the_name_of_a_copy_is_none(train, models):
    train(max_iters=2)
    (models / "cat_step00000005").write_text("mine")
    assert find_snapshots(models / "cat") == {}
    train(**OFTEN, keep_snapshots=1)
    assert (models / "cat_step00000005").read_text() == "mine"


def test_a_copy_is_recognised_while_it_is_being_saved(train, models, monkeypatch):
    train(**{**OFTEN, "max_iters": 3})
    copy = models / "cat_step00000002"
    waiting = copy / tagged_name("training_state.json", 1)
    (copy / "training_state.json").rename(waiting)
    read = generations.read_document

    def after_a_rename(path, file):
        if waiting.exists() and path.name != "manifest.json":
            waiting.rename(copy / "training_state.json")
        return read(path, file)

    monkeypatch.setattr(generations, "read_document", after_a_rename)
    assert list(find_snapshots(models / "cat")) == [2]
    assert not waiting.exists()


def test_a_run_does_not_save_over_what_another_has_saved_meanwhile(train, models, monkeypatch):
    train("old", max_iters=4)
    read = run_inputs.read_training_data
    for name in ("old", "new"):

        def meanwhile(training, plugins, name=name):
            monkeypatch.setattr(run_inputs, "read_training_data", read)
            train(name, max_iters=8)
            return read(training, plugins)

        monkeypatch.setattr(run_inputs, "read_training_data", meanwhile)
        with pytest.raises(FormatError, match=r"was saved .* since .* opened"):
            train(name, max_iters=6)
        assert read_bundle(models / name).training_state.step == 8


def test_a_gold_copy_of_the_earlier_mypt_is_not_written_over(train, models, fixtures):
    gold = shutil.copytree(fixtures / "mypt" / "modern_char_gold", models / "cat_gold")
    before = (gold / "model.pt").read_bytes()
    with pytest.raises(UsageError, match=r"cat_gold: is a model of its own.*its gold copy there"):
        train()
    assert (gold / "model.pt").read_bytes() == before
