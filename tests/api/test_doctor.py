"""Checking a model and all its copies."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

import mypt
from mypt.format.errors import UsageError
from tests.support.crash.scene import tree
from tests.support.damage import cut, flip

CHECKPOINTS = Path("checkpoints")
CAT = CHECKPOINTS / "cat"
RUN = {"max_iters": 9, "eval_interval": 3, "snapshot_interval": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def trained(train, made):
    """A run of 9 steps with copies of steps 3, 6 and 9 and in half precision, without gold."""
    if not any(made.iterdir()):
        train(**RUN)
        shutil.rmtree(CHECKPOINTS / "cat_gold")
        shutil.copytree(CHECKPOINTS, made / "checkpoints")
        shutil.copytree("logs", made / "logs")
        shutil.rmtree(CHECKPOINTS)
        shutil.rmtree("logs")
    for part in ("checkpoints", "logs"):
        shutil.copytree(made / part, part)


def found():
    """Give what each checkpoint serves for, by its name, in their order."""
    rows = mypt.check_model("cat")["checkpoints"]
    return {
        Path(row["path"]).name: (
            row["kind"],
            row["step"],
            row["whole"],
            row["generate"],
            row["train"],
        )
        for row in rows
    }


def test_a_model_and_its_copies_are_whole(trained):
    before = tree(CHECKPOINTS)
    report = mypt.check_model("cat")
    assert report["whole"]
    assert (report["fall_back"], report["leftovers"], report["log"]) == (None, [], [])
    assert tree(CHECKPOINTS) == before
    assert found() == {
        "cat": ("model", 9, True, True, "exactly"),
        "cat_step00000009": ("step", 9, True, True, "exactly"),
        "cat_fp16": ("fp16", 9, True, True, None),
        "cat_step00000006": ("step", 6, True, True, "exactly"),
        "cat_step00000003": ("step", 3, True, True, "exactly"),
    }


def test_what_is_damaged_and_what_to_go_on_from_is_told(trained):
    flip(CAT / "model.pt")
    (CHECKPOINTS / "cat_step00000009" / "optimizer.pt").unlink()
    cut(CHECKPOINTS / "cat_step00000006" / "training_state.json")
    report = mypt.check_model("cat")
    assert not report["whole"]
    assert report["fall_back"] == str(CHECKPOINTS / "cat_step00000003")
    assert found() == {
        "cat": ("model", 9, False, False, None),
        "cat_step00000009": ("step", 9, False, True, "not exactly"),
        "cat_fp16": ("fp16", 9, True, True, None),
        "cat_step00000006": ("step", 6, False, True, None),
        "cat_step00000003": ("step", 3, True, True, "exactly"),
    }
    (problem,) = report["checkpoints"][0]["problems"]
    assert problem["file"] == str(CAT / "model.pt")
    assert "digest differs" in problem["what"]


def test_what_fall_back_would_take_is_what_it_takes(trained, train):
    flip(CAT / "model.pt")
    (CHECKPOINTS / "cat_step00000009" / "optimizer.pt").unlink()
    named = mypt.check_model("cat")["fall_back"]
    assert named == str(CHECKPOINTS / "cat_step00000006")
    train(**RUN, fall_back=True)
    rows = found()
    assert rows["cat"] == ("model", 9, True, True, "exactly")
    assert rows["cat_damaged"][:3] == ("set aside", 9, False)
    assert rows["cat_step00000009"][2] is True  # made again


def test_a_model_without_a_training_state_is_whole(trained):
    mypt.load("cat").save("checkpoints/dog")
    report = mypt.check_model("dog")
    assert report["whole"]
    assert report["checkpoints"][0]["train"] is None


def test_a_model_that_is_gone_has_its_copies(trained):
    shutil.rmtree(CAT)
    report = mypt.check_model("cat")
    assert not report["whole"]
    assert report["fall_back"] == str(CHECKPOINTS / "cat_step00000009")
    with pytest.raises(UsageError, match="there is no checkpoint"):
        mypt.check_model("dog")


def edit_state(name, **fields):
    path = CHECKPOINTS / name / "training_state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_folders_of_such_names_that_are_no_copies_of_this_run_are_told(trained):
    edit_state("cat_step00000009", run_id="0" * 32)
    edit_state("cat_step00000006", copy_of=None)
    flip(CAT / "model.pt")
    report = mypt.check_model("cat")
    remarks = {Path(row["path"]).name: row["remark"] for row in report["checkpoints"]}
    assert remarks["cat_step00000009"] == "of another run"
    assert remarks["cat_step00000006"] == "a model of its own"
    assert report["fall_back"] == str(CHECKPOINTS / "cat_step00000003")


def test_an_edit_is_a_doubt(trained):
    path = CAT / "config.json"
    path.write_text(path.read_text().replace('"dropout": 0.2', '"dropout": 0.1'))
    report = mypt.check_model("cat")
    (row, *_) = report["checkpoints"]
    assert row["train"] == "not exactly"
    assert row["doubts"] == ["config.json was edited after the save at /dropout"]
    assert (report["whole"], row["damaged"], report["fall_back"]) == (False, False, None)


def test_an_edit_of_a_model_that_cannot_be_trained_is_told_in_both_forms(trained, cli):
    mypt.load("cat").save("checkpoints/dog")
    path = CHECKPOINTS / "dog" / "config.json"
    path.write_text(path.read_text().replace('"logit_scale": 1.0', '"logit_scale": 2.0'))
    code, out, _ = cli("doctor", "dog")
    assert code == 1
    assert out.splitlines() == [
        "checkpoints/dog: edited; it serves for inference only",
        "  checkpoints/dog/config.json#/logit_scale: was edited after the save: 2.0, was 1.0; "
        "restore it if that was not meant: the model may now compute something else",
        "The model is whole but for what was edited: restore what was not meant.",
    ]
    code, out, _ = cli("doctor", "dog", "--json")
    (row,) = json.loads(out)["checkpoints"]
    assert (code, row["whole"], row["problems"]) == (1, False, [])
    assert [edit["where"] for edit in row["edits"]] == ["/logit_scale"]


def test_a_document_that_says_the_same_in_another_form_is_whole(trained):
    path = CAT / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    report = mypt.check_model("cat")
    assert (report["whole"], report["checkpoints"][0]["edits"]) == (True, [])


def test_what_interrupted_processes_left_is_told_and_stays(trained):
    (CAT / "model.pt.mypt-000099").write_bytes(b"")
    dead = {"host": socket.gethostname(), "pid": 2**22 + 7, "since": "yesterday"}
    (CHECKPOINTS / "cat_step00000003" / ".mypt.lock").write_text(json.dumps(dead))
    (CHECKPOINTS / ".cat.mypt-preflight").mkdir()
    said = {Path(note["file"]).name: note["what"] for note in mypt.check_model("cat")["leftovers"]}
    assert said == {
        "model.pt.mypt-000099": "is left of a save that was interrupted",
        ".mypt.lock": f"is the lock of process {dead['pid']} on {dead['host']}, since yesterday, "
        "which has ended",
        ".cat.mypt-preflight": "is left of a process that was killed",
    }
    assert (CAT / "model.pt.mypt-000099").exists()


@pytest.mark.skipif(os.name == "nt", reason="a process cannot be asked for there")
def test_a_run_that_is_writing_is_told(trained):
    alive = {"host": socket.gethostname(), "pid": os.getpid(), "since": "today"}
    (CAT / ".mypt.lock").write_text(json.dumps(alive))
    (note,) = mypt.check_model("cat")["leftovers"]
    assert "is being written by process" in note["what"]


def test_a_fall_back_that_was_killed_is_told_with_what_finishes_it(trained):
    CAT.rename(CHECKPOINTS / "cat_damaged")
    shutil.copytree(CHECKPOINTS / "cat_damaged", CHECKPOINTS / ".cat.mypt-successor")
    (note,) = mypt.check_model("cat")["leftovers"]
    assert note["fix"] == "finish that: mypt train --model_name cat"


def test_the_end_of_the_log_is_told(trained):
    log = Path("logs/train/cat_eval.jsonl")
    with log.open("a") as stream:
        stream.write('{"event": "eval", "iter": 12')
    (note,) = mypt.check_model("cat")["log"]
    assert note["what"] == "ends with an unfinished line"


def test_models_of_other_formats_are_checked_too(fixtures, in_tmp):
    paths = [path for path in sorted((fixtures / "mypt").rglob("*")) if path.suffix == ".pt"]
    for path in paths[:3]:
        report = mypt.check_model(path)
        assert report["checkpoints"][0]["train"] != "exactly"
        assert report["checkpoints"][0]["generate"] or report["checkpoints"][0]["problems"]
    assert paths


def test_the_command_says_it_in_lines_and_by_its_exit_code(trained, cli):
    code, out, err = cli("doctor", "cat")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == (
        "checkpoints/cat (step 9): whole; training goes on from it exactly"
    )
    flip(CAT / "model.pt")
    code, out, _ = cli("doctor", "cat")
    lines = out.splitlines()
    assert code == 1
    assert lines[0] == "checkpoints/cat (step 9): damaged; it serves for nothing"
    assert lines[1].startswith("  checkpoints/cat/model.pt: is not what was saved")
    assert lines[-1] == (
        "To go on from checkpoints/cat_step00000009: mypt train --model_name cat --fall_back"
        " (what is damaged is kept)"
    )
    code, out, _ = cli("doctor", "--model_name", "cat", "--json")
    assert code == 1
    assert json.loads(out) == mypt.check_model("cat")


@pytest.mark.parametrize(
    ("kept", "last"),
    [
        (("cat_fp16",), "No copy can be trained further; for inference, use checkpoints/cat_fp16"),
        ((), "Nothing can be gone on from: restore the files from a backup."),
    ],
)
def test_without_a_copy_to_train_the_next_best_is_named(kept, last, trained, cli):
    flip(CAT / "model.pt")
    for copy in CHECKPOINTS.glob("cat_*"):
        if copy.name not in kept:
            shutil.rmtree(copy)
    assert cli("doctor", "cat")[1].splitlines()[-1] == last


@pytest.mark.parametrize("name", ["config.json", "training_state.json"])
def test_what_this_mypt_cannot_read_is_not_called_damaged(name, trained, cli):
    document = json.loads((CAT / name).read_text())
    (CAT / name).write_text(json.dumps(document | {"requires": ["zeta"]}))
    code, out, _ = cli("doctor", "cat")
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith("checkpoints/cat (step 9): not whole; it serves for ")
    assert "zeta" in lines[1]
    assert lines[-1].startswith("What is wrong with the model is no damage: do what is said of it ")
    assert "or go on from checkpoints/cat_" in lines[-1]
    for copy in CHECKPOINTS.glob("cat_*"):
        shutil.rmtree(copy)
    assert cli("doctor", "cat")[1].splitlines()[-1].endswith("do what is said of it above.")
