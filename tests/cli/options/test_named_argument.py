import shutil

import pytest


@pytest.fixture
def cat(in_tmp, bundle):
    shutil.copytree(bundle, in_tmp / "checkpoints" / "cat")
    return "cat"


@pytest.mark.parametrize(
    "command",
    [
        ("inspect",),
        ("generate", "--max_new_tokens", "2", "--seed", "1", "--device", "cpu"),
        ("generate", "--max_new_tokens", "2", "--seed", "1", "--device", "auto"),
    ],
)
def test_a_model_is_an_argument_or_a_flag(cli, cat, command):
    results = []
    for way in ([cat], ["--model_name", cat], [cat, "--model_name", cat], [f"checkpoints/{cat}"]):
        results.append(cli(*command, *way)[:2])
    assert [code for code, _ in results] == [0, 0, 0, 0]
    assert len({out for _, out in results}) == 1


@pytest.mark.parametrize("command", ["inspect", "generate", "export"])
def test_two_models_or_none_are_wrong_usage(refused, cat, command):
    rest = ["--to", "hf", "--output", "out"] if command == "export" else []
    said = "MODEL is 'cat', but --model_name is 'dog'; give one"
    assert said in refused(command, cat, "--model_name", "dog", *rest, code=2)
    line = refused(command, *rest, code=2)
    assert (
        "Missing argument 'MODEL', the name of a model in checkpoints/, or a path; for example: "
        in line
    )


def test_a_preset_is_an_argument_or_a_flag(cli, in_tmp):
    assert cli("configs", "tiny") == cli("configs", "--config_file", "tiny")
    assert cli("configs")[0] == 0


def test_the_commands_of_the_format_take_names_too(cli, cat, in_tmp):
    assert cli("format", "validate", cat)[:2] == (0, "checkpoints/cat: valid\n")
    assert "checkpoints/cat -> " in cli("format", "migrate", cat, "--dry_run")[1]
    (in_tmp / cat).mkdir()  # what is there by this path is meant
    assert cli("format", "validate", cat)[0] == 1


@pytest.mark.parametrize(
    ("word", "flag"), [("dante", "--model_name"), ("config/train_x.py", "--config_file")]
)
def test_a_word_of_train_names_the_flag_that_it_needs(refused, in_tmp, word, flag):
    line = refused("train", word, "--compile=False", code=2)
    assert f"Unexpected word '{word}': write {flag} {word}; see: mypt train --help" in line
