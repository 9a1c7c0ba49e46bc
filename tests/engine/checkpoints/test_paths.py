import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mypt.engine.checkpoints.paths import find_checkpoint, is_unwritten, log_file_of, model_dir
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import UsageError


@pytest.mark.parametrize("name", ["dante", "dante_gold", "750M.v1", "Дант", "with space"])
def test_a_name_becomes_a_folder(name):
    assert model_dir(name) == Path("checkpoints") / name


@pytest.mark.parametrize(
    "name", ["a/b", "..", "a\\b", "", ".hidden", "C:x", "tab\t", "null\0", " x", "x" * 300]
)
def test_a_name_that_is_no_folder_is_refused(name):
    with pytest.raises(UsageError, match=r"^model_name: "):
        model_dir(name)


@pytest.mark.parametrize(
    "name", ["con", "AUX", "nul.v1", "com1", "LPT9.a.b", "COM\u00b9", "prn .x", "conin$", "dante."]
)
def test_a_name_that_windows_cannot_have_is_refused_for_a_new_model(name, in_tmp):
    with pytest.raises(UsageError, match=f"`{re.escape(name)}` is a name that no folder can have"):
        model_dir(name)
    folder = Path("checkpoints") / name
    folder.mkdir(parents=True)
    assert model_dir(name) == folder  # the model of who has it already is opened


def test_a_name_that_looks_like_an_option_is_refused_for_a_new_model(in_tmp):
    with pytest.raises(UsageError, match="`-x` begins with a dash, as options of commands do"):
        model_dir("-x")
    folder = Path("checkpoints") / "-x"
    folder.mkdir(parents=True)
    assert model_dir("-x") == folder


@pytest.mark.parametrize("name", ["conrad", "com10", "nul_v1", "aux-1", "a.con", "lpt"])
def test_a_name_that_only_begins_so_is_taken(name):
    assert model_dir(name) == Path("checkpoints") / name


def test_the_log_is_named_after_the_model_unless_told_otherwise():
    assert log_file_of(TrainingConfig(), "a") == Path("logs/train/a_eval.jsonl")
    assert log_file_of(TrainingConfig(log_file="x"), "a") == Path("x")


def test_a_checkpoint_is_found_by_path_and_by_name(in_tmp):
    folder = in_tmp / "checkpoints" / "dante"
    folder.mkdir(parents=True)
    assert find_checkpoint(folder) == folder
    assert find_checkpoint("dante") == Path("checkpoints/dante")
    with pytest.raises(UsageError, match=r"no checkpoint `virgil`.*name one of: dante"):
        find_checkpoint("virgil")


def test_a_folder_of_data_does_not_hide_the_model_of_its_name(in_tmp):
    (in_tmp / "checkpoints" / "dante").mkdir(parents=True)
    (in_tmp / "dante").mkdir()
    (in_tmp / "dante" / "canto.txt").write_text("Nel mezzo")
    assert find_checkpoint("dante") == Path("checkpoints/dante")
    assert find_checkpoint("./dante") == Path("dante")
    (in_tmp / "dante" / "config.json").write_text("{")  # a damaged checkpoint is one
    assert find_checkpoint("dante") == Path("dante")


def test_an_empty_name_is_not_the_current_folder(in_tmp):
    with pytest.raises(UsageError, match="the name of a checkpoint is empty"):
        find_checkpoint("")


def test_a_name_near_another_is_suggested_and_copies_are_not_listed(in_tmp):
    for name in ("first", "first_gold", "first_fp16", "first_step00000100", "other", "pure_gold"):
        (in_tmp / "checkpoints" / name).mkdir(parents=True)
    with pytest.raises(UsageError) as refused:
        find_checkpoint("frist")
    assert str(refused.value).endswith(
        "in checkpoints/ (did you mean `first`?); name one of: first, other, pure_gold; "
        "list them all: mypt list"
    )


def test_of_many_models_some_are_named_and_the_command_that_lists_all(in_tmp):
    for number in range(2000):
        (in_tmp / "checkpoints" / f"run{number:04d}").mkdir(parents=True)
    with pytest.raises(UsageError) as refused:
        find_checkpoint("RUN1234")
    assert str(refused.value) == (
        "there is no checkpoint `RUN1234`, as a path or in checkpoints/ (did you mean `run1234`?); "
        "name one of: run0000, run0001, run0002, run0003, run0004, ...; list them all: mypt list"
    )


@pytest.mark.parametrize("typed", ["Runs/first", "runs/frist", "runs/FIRST", "runs/CKPT.pt"])
def test_a_path_is_compared_with_what_is_beside_it(in_tmp, typed):
    (in_tmp / "runs" / "first").mkdir(parents=True)
    (in_tmp / "runs" / "ckpt.PT").touch()
    (in_tmp / "runs" / "notes.txt").touch()
    with pytest.raises(UsageError) as refused:
        find_checkpoint(typed)
    wanted = "ckpt.PT" if "CKPT" in typed else "first"
    if typed.startswith("runs"):
        assert f"`{typed}`, in runs (did you mean `{wanted}`?); name one of: ckpt.PT, first; " in (
            str(refused.value)
        )
        assert str(refused.value).endswith("list them all: mypt list runs")
    else:
        assert "as a path or in checkpoints/; train one" in str(refused.value)


def test_a_path_to_a_model_to_train_is_told_its_name():
    with pytest.raises(UsageError, match="`checkpoints/nano` is a path; use only the name: nano"):
        model_dir("checkpoints/nano")


def test_without_models_the_reader_is_told_how_to_make_one(in_tmp):
    with pytest.raises(UsageError, match="train one with: mypt train"):
        find_checkpoint("virgil")


LIST_AS_NOBODY = """
import os, sys
sys.path[:] = sys.argv[1].split(os.pathsep)
from mypt.engine.checkpoints.paths import list_models
if os.geteuid() == 0:
    os.setgroups([])
    os.setuid(65534)
print(list_models())
"""


@pytest.mark.skipif(os.name == "nt", reason="it keeps who may read what elsewhere")
def test_models_are_listed_beside_what_is_closed_to_the_user_and_links_to_nowhere():
    """The super-user reads everything, so another process tries it as nobody."""
    with tempfile.TemporaryDirectory() as place:
        checkpoints, closed = Path(place) / "checkpoints", Path(place) / "closed"
        for folder in (checkpoints / "dante", checkpoints / "shut", closed / "inside"):
            folder.mkdir(parents=True)
            (folder / "config.json").touch()
        (checkpoints / "inside").symlink_to(closed / "inside")
        (checkpoints / "loop").symlink_to("loop")
        (checkpoints / "nowhere").symlink_to("gone")
        Path(place).chmod(0o755)
        for folder in (checkpoints / "shut", closed):
            folder.chmod(0)
        command = [sys.executable, "-c", LIST_AS_NOBODY, os.pathsep.join(filter(None, sys.path))]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        for folder in (checkpoints / "shut", closed):
            folder.chmod(0o755)
    assert (done.stdout, done.stderr) == ("['dante']\n", "")


def test_a_name_that_leaves_no_room_for_those_beside_it_is_opened(bundle, in_tmp):
    folder = in_tmp / ("m" * 250)
    shutil.copytree(bundle, folder)
    assert find_checkpoint(str(folder)) == folder
    assert not is_unwritten(folder)


def test_a_link_that_leads_nowhere_is_named(in_tmp):
    (in_tmp / "checkpoints").mkdir()
    (in_tmp / "checkpoints" / "cat").symlink_to("unmounted")
    for name in ("cat", "checkpoints/cat"):
        with pytest.raises(UsageError, match="checkpoints/cat is a link to unmounted, where"):
            find_checkpoint(name)
