"""Which copies may serve in the place of a damaged model."""

import json
import shutil
from pathlib import Path

import pytest

import mypt
from mypt.engine.checkpoints.recovery.candidates import list_candidates
from mypt.format.bundle.copy_name import CopyKind
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import FormatError
from tests.support.damage import flip

CHECKPOINTS = Path("checkpoints")
CAT = CHECKPOINTS / "cat"
RUN = {"max_iters": 12, "eval_interval": 3, "snapshot_interval": 3}


def test_gold_serves_too_and_where_both_are_of_one_step_the_numbered_copy(run, train, refusal):
    state = read_bundle(CHECKPOINTS / "cat_step00000006").training_state
    shutil.copytree(CHECKPOINTS / "cat_step00000006", CHECKPOINTS / "cat_gold")
    flip(CAT / "model.pt")
    assert "cat_step00000006" in refusal()[-1].what
    shutil.rmtree(CHECKPOINTS / "cat_step00000006")
    assert "cat_gold, at step 6" in refusal()[-1].what
    train(**RUN, fall_back=True)
    assert read_bundle(CAT).training_state.run_id == state.run_id


def test_a_copy_of_another_run_does_not_serve(run, train, refusal):
    place = CHECKPOINTS / "cat_step00000006" / "training_state.json"
    state = json.loads(place.read_text()) | {"run_id": "0" * 32}
    place.write_text(json.dumps(state))
    flip(CAT / "model.pt")
    assert "cat_step00000003" in refusal()[-1].what


def edit_state(folder, **fields):
    path = folder / "training_state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_where_the_model_tells_no_run_that_of_the_latest_copy_counts(run):
    edit_state(CHECKPOINTS / "cat_step00000006", run_id="0" * 32)
    for name in ("manifest.json", "training_state.json"):
        (CAT / name).unlink()
    manifest = CHECKPOINTS / "cat_step00000003" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes())  # saved last
    assert list_candidates(CAT) == [CHECKPOINTS / "cat_step00000003"]


def test_a_folder_of_such_a_name_that_is_a_model_of_its_own_is_no_candidate(run):
    edit_state(CHECKPOINTS / "cat_step00000006", copy_of=None)
    assert list_candidates(CAT) == [CHECKPOINTS / "cat_step00000003"]


def test_copies_of_a_model_that_was_renamed_with_them_are_found_by_their_run(run):
    for path in list(CHECKPOINTS.iterdir()):
        path.rename(path.with_name(path.name.replace("cat", "dog")))
    steps = [CHECKPOINTS / f"dog_step0000000{step}" for step in (6, 3)]
    assert list_candidates(CHECKPOINTS / "dog") == steps


def test_inference_may_use_the_half_precision_copy(run, train):
    train(**RUN)
    assert CHECKPOINTS / "cat_fp16" in list_candidates(CAT, (CopyKind.FP16,))
    for copy in CHECKPOINTS.glob("cat_[gs]*"):
        shutil.rmtree(copy)
    flip(CAT / "model.pt")
    with pytest.raises(FormatError, match="whole is checkpoints/cat_fp16, at step 12"):
        mypt.load("cat")


def test_a_model_without_copies_says_no_more_than_what_is_wrong(run):
    for copy in CHECKPOINTS.glob("cat_*"):
        shutil.rmtree(copy)
    flip(CAT / "model.pt")
    with pytest.raises(FormatError) as error:
        mypt.load("cat")
    assert len(error.value.problems) == 1
