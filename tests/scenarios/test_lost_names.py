"""A name that is none, and a folder of checkpoints, lead to what is there at every door."""

import shutil
from pathlib import Path

import pytest

import mypt


@pytest.fixture
def models(bundle, in_tmp):
    for name in ("dante", "virgil"):
        shutil.copytree(bundle, in_tmp / "checkpoints" / name)
        shutil.copytree(bundle, in_tmp / "runs" / name)
    (in_tmp / "input.txt").write_text("the cat sat on the mat " * 40)
    return in_tmp


DOORS = [
    ("inspect", "--model_name", "{}"),
    ("generate", "--model_name", "{}", "--prompt", "a"),
    ("compare", "dante", "{}"),
    ("plot", "{}"),
    ("export", "--model_name", "{}", "--to", "hf", "--output", "out"),
    ("train", "--model_name", "new", "--input_file", "input.txt", "--init_from_model", "{}"),
]


def fill(door, name):
    return [word.format(name) for word in door]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0])
def test_an_unknown_name_leads_to_the_nearest_and_to_the_list(refused, models, door):
    said = refused(*fill(door, "Dante"), code=2)
    assert "no checkpoint `Dante`" in said
    assert "did you mean `dante`?" in said
    assert "name one of: dante, virgil; list them all: mypt list\n" in said


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0])
def test_a_path_that_is_none_leads_to_what_is_beside_it(refused, models, door):
    said = refused(*fill(door, "runs/virgli"), code=2)
    assert "in runs (did you mean `virgil`?)" in said
    assert "list them all: mypt list runs\n" in said


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0])
def test_a_folder_of_checkpoints_names_some_and_the_list(refused, models, door):
    said = refused(*fill(door, "runs"))
    assert "runs: is not a checkpoint but holds some, such as runs/dante, runs/virgil; " in said
    assert "mypt list runs" in said


def test_python_says_the_same(models):
    with pytest.raises(mypt.FormatError, match=r"holds some, such as runs/dante.*mypt list runs"):
        mypt.load("runs")
    with pytest.raises(mypt.UsageError, match=r"did you mean `virgil`.*mypt list"):
        mypt.get_model_info("virgl")


def test_a_tree_without_any_is_not_searched_for_good(models, monkeypatch):
    for number in range(3000):
        (models / "empty" / f"{number:04d}").mkdir(parents=True)
    (models / "empty" / "zzz").mkdir()
    shutil.copytree("runs/dante", models / "empty" / "zzz" / "dante")
    with pytest.raises(mypt.FormatError, match="is not a checkpoint that mypt can read"):
        mypt.load("empty")


def test_the_files_of_other_programs_in_another_case_are_told(fixtures, models):
    hugging = models / "hugging"
    shutil.copytree(fixtures / "foreign" / "hf_gpt2", hugging, copy_function=shutil.copyfile)
    (hugging / "model.safetensors").rename(hugging / "Model.safetensors")
    with pytest.raises(mypt.FormatError) as refused:
        mypt.load(hugging)
    wanted = "Model.safetensors: would be read if it were called `model.safetensors`; rename it"
    assert str(refused.value) == f"{hugging}/{wanted}"
    nano = models / "nano"
    shutil.copytree(fixtures / "foreign" / "nanogpt_char", nano, copy_function=shutil.copyfile)
    (nano / "ckpt.pt").rename(nano / "CKPT.PT")
    with pytest.raises(mypt.FormatError) as refused:
        mypt.load(nano)
    assert f"{nano}/CKPT.PT: would be read if it were called `ckpt.pt`; rename it" in (
        str(refused.value)
    )
    assert mypt.get_model_info(nano / "CKPT.PT")["format"] == "nanogpt"


HERE = [
    ("inspect", "{}"),
    ("doctor", "{}"),
    ("list", "{}"),
    ("generate", "{}", "--prompt", "a", "--max_new_tokens", "1"),
    ("compare", "../virgil", "{}"),
    ("export", "{}", "--to", "hf", "--output", "../../out"),
    ("format", "validate", "{}"),
    ("format", "migrate", "{}"),
]


@pytest.mark.parametrize("door", HERE, ids=" ".join)
def test_a_model_is_opened_from_its_own_folder(cli, models, monkeypatch, door):
    monkeypatch.chdir("checkpoints/dante")
    code, out, err = cli(*fill(door, "."))
    assert (code, err.count("error")) == (0, 0), out + err


@pytest.mark.parametrize("door", [*DOORS, ("doctor", "{}"), ("chat", "{}")], ids=lambda d: d[0])
def test_what_is_above_is_a_folder_and_never_a_name(cli, models, monkeypatch, door):
    monkeypatch.chdir("checkpoints/dante")
    (models / "checkpoints" / "dante" / "checkpoints").mkdir()  # `checkpoints/..` is the model
    code, out, err = cli(*fill(door, ".."))
    assert code in (1, 2), out + err
    assert "Traceback" not in err


def test_copies_are_found_from_the_folder_of_their_model(cli, train, monkeypatch):
    train()
    monkeypatch.chdir("checkpoints/cat")
    with Path("model.pt").open("r+b") as file:
        file.truncate(100)
    _, out, _ = cli("doctor", ".")
    assert "mypt train --model_name cat --fall_back" in out
    _, _, err = cli("generate", ".", "--prompt", "a")
    assert "cat_gold" in err
    assert "what else there is: mypt doctor cat" in err


def test_a_folder_of_data_may_be_the_one_that_it_is_called_from(cli, models, monkeypatch):
    words = ("data", "join", "a", "b", "--output", ".")
    code, _, err = cli(*words)
    assert (code, "Traceback" in err) == (1, False)
    assert f"{models}: already exists and is not empty" in err
