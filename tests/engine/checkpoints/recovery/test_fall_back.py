"""A damaged model: what is said of it, and what `fall_back` puts in its place."""

import json
import shutil
from pathlib import Path

import pytest

import mypt
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import FormatError, LockedError
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.files import BUNDLE_FILES
from tests.support.crash.scene import tree
from tests.support.damage import cut, flip, leave_alone, replace_by_folder

CHECKPOINTS = Path("checkpoints")
CAT = CHECKPOINTS / "cat"
RUN = {"max_iters": 12, "eval_interval": 3, "snapshot_interval": 3}


DAMAGES = [
    *((name, cut) for name in (*BUNDLE_FILES, "manifest.json")),
    *((name, Path.unlink) for name in BUNDLE_FILES if name != "optimizer.pt"),
    *((name, flip) for name in ("model.pt", "optimizer.pt", "manifest.json")),
    *((name, replace_by_folder) for name in ("config.json", "model.pt", "optimizer.pt")),
    *((name, leave_alone) for name in (*BUNDLE_FILES, "manifest.json")),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_model_goes_on_from_its_newest_whole_copy(
    name, damage, run, train, digests, refusal
):
    damage(CAT / name)
    kept = tree(CAT)
    if (name, damage) != ("tokenizer.json", leave_alone):  # a new model could be meant
        *damages, last = refusal()
        assert damages
        assert "cat_step00000006, at step 6, from which training goes on exactly" in last.what
        assert "--fall_back (in Python: fall_back=True)" in last.fix
        assert tree(CAT) == kept  # nothing is done that was not asked for

    state = train(**RUN, fall_back=True)
    assert (state.step, state.exact, state.inexact_reasons) == (12, True, ())
    assert digests() == run
    assert tree(CHECKPOINTS / "cat_damaged") == kept
    copy = read_bundle(CHECKPOINTS / "cat_step00000003").training_state
    saved = read_bundle(CAT).training_state
    assert (saved.run_id, saved.copy_of) == (copy.run_id, None)
    assert not [path for path in CHECKPOINTS.iterdir() if path.name.startswith(".")]


def test_a_missing_optimizer_alone_begins_a_fresh_one_unless_one_asks_to_fall_back(
    run, train, digests, capsys
):
    (CAT / "optimizer.pt").unlink()
    shutil.copytree(CHECKPOINTS, "before")
    fresh = train(**RUN, quiet=False)
    assert "optimizer.pt: is missing; to go on exactly, add --fall_back" in capsys.readouterr().out
    assert not fresh.exact
    shutil.rmtree(CHECKPOINTS)
    shutil.move("before", CHECKPOINTS)
    assert train(**RUN, fall_back=True).exact
    assert digests() == run


def test_a_copy_that_is_damaged_is_passed_over_and_kept_too(run, train, digests, refusal):
    flip(CAT / "model.pt")
    cut(CHECKPOINTS / "cat_step00000006" / "manifest.json")
    kept = tree(CHECKPOINTS / "cat_step00000006")
    assert "cat_step00000003, at step 3" in refusal()[-1].what
    train(**RUN, fall_back=True)
    assert digests() == run
    assert tree(CHECKPOINTS / "cat_step00000006_damaged") == kept
    assert read_bundle(CHECKPOINTS / "cat_step00000006").training_state.step == 6  # made again


def test_the_gold_decision_goes_on_from_the_memory_of_the_copy(run, train):
    memory = read_bundle(CHECKPOINTS / "cat_step00000006").training_state.gold
    flip(CAT / "model.pt")
    train(**RUN, fall_back=True)
    gold = read_bundle(CAT).training_state.gold
    assert gold.best_step >= memory.best_step
    assert gold.decision.step == 12


def test_without_a_whole_copy_the_damage_is_all_there_is_to_say(run, train, refusal):
    flip(CAT / "model.pt")
    for copy in CHECKPOINTS.glob("cat_step*"):
        flip(copy / "model.pt")
    (damage,) = refusal()
    assert damage.file == str(CAT / "model.pt")
    _, none, *copies = refusal(fall_back=True)
    assert "has no whole copy to fall back on" in none.what
    assert [problem.file for problem in copies] == [
        str(CHECKPOINTS / f"cat_step0000000{step}" / "model.pt") for step in (6, 3)
    ]
    assert (CAT / "model.pt").exists()


def test_edits_of_the_copy_stay_known(run, train, refusal):
    place = CHECKPOINTS / "cat_step00000006" / "config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"dropout": 0.0}))
    flip(CAT / "model.pt")
    said = refusal()[-1].what
    assert "goes on not exactly: config.json was edited after the save at /dropout" in said
    state = train(**RUN, fall_back=True)
    assert not state.exact
    edits = [reason for reason in state.inexact_reasons if "config.json was edited" in reason]
    assert edits == ["step 6: config.json was edited after the save at /dropout"]


def test_a_model_that_is_whole_goes_on_as_without_the_wish(run, train, digests):
    train(**RUN, fall_back=True)
    assert digests() == run
    assert not (CHECKPOINTS / "cat_damaged").exists()


def test_a_model_that_is_gone_comes_back(run, train, digests):
    shutil.rmtree(CAT)
    train(**RUN, fall_back=True)
    assert digests() == run


def test_a_wish_to_fall_back_begins_a_new_model_where_there_is_nothing(train):
    assert train(**RUN, fall_back=True).step == 12


def test_a_newer_format_is_no_damage(run, train, refusal):
    place = CAT / "config.json"
    place.write_text(place.read_text().replace('"format_version": "2.', '"format_version": "3.'))
    problems = refusal(fall_back=True)
    kinds = {problem.kind for problem in problems}
    assert "version.newer" in kinds
    assert "no copy takes its place" in problems[-1].what
    assert "checkpoint.damaged" not in kinds
    assert not (CHECKPOINTS / "cat_damaged").exists()


def test_a_finished_model_is_put_back_too(train, digests):
    train(**RUN)
    whole = digests()
    flip(CAT / "model.pt")
    assert train(**RUN, fall_back=True).step == 12
    assert digests() == whole
    assert (CHECKPOINTS / "cat_damaged").is_dir()


def test_what_is_being_written_is_not_moved(run, train):
    flip(CAT / "model.pt")
    with open_for_writing(CAT), pytest.raises(LockedError):
        train(**RUN, fall_back=True)
    assert not (CHECKPOINTS / "cat_damaged").exists()


def test_a_second_fall_leaves_the_first_damaged_one_alone(run, train):
    for _ in range(2):
        flip(CAT / "model.pt")
        train(**RUN, fall_back=True)
    assert (CHECKPOINTS / "cat_damaged").is_dir()
    assert (CHECKPOINTS / "cat_damaged2").is_dir()


def test_the_log_keeps_the_evaluations_that_are_made_once_more(run, train, logged):
    train(**RUN)
    shutil.rmtree(CHECKPOINTS / "cat_step00000012")
    shutil.rmtree(CHECKPOINTS / "cat_step00000009")
    shutil.rmtree(CHECKPOINTS / "cat_gold", ignore_errors=True)
    flip(CAT / "model.pt")
    train(**RUN, fall_back=True)
    assert [event["iter"] for event in logged(kind="eval")] == [9, 12, 9, 12]


def test_the_library_names_the_copy_and_takes_it_where_asked(run, caplog):
    flip(CAT / "model.pt")
    manager, config = mypt.CheckpointManager("cat"), mypt.GPTConfig()
    for load in (lambda: mypt.load("cat"), lambda: mypt.GPT.load("cat")):
        with pytest.raises(FormatError, match="whole is checkpoints/cat_step00000006, at step 6"):
            load()
    with pytest.raises(FormatError, match="fall_back=True"):
        manager.initialize_for_training(config)
    _, _, step = manager.initialize_for_training(config, fall_back=True)
    assert step == 6
    assert "Falling back on checkpoints/cat_step00000006" in caplog.text
    assert mypt.load("cat").config.n_layer == 2


def test_commands_name_the_copy_and_take_it_where_asked(run, cli):
    flip(CAT / "model.pt")
    code, _, err = cli("generate", "cat", "--prompt", "a")
    assert code == 1
    assert "its newest copy that is whole is checkpoints/cat_step00000006" in err
    code, _, err = cli("train", "--model_name", "cat")
    assert code == 1
    assert len(err.splitlines()) == 2
    code, out, err = cli("train", "--model_name", "cat", "--fall_back")
    assert (code, err) == (0, "")
    assert "Falling back on checkpoints/cat_step00000006, at step 6" in out
