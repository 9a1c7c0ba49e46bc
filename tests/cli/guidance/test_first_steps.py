import os

import pytest


def start_lines(cli):
    code, out, err = cli()
    assert (code, err) == (2, "")
    return [line.strip() for line in out.splitlines()]


def test_in_an_empty_folder_the_first_commands_come_first(cli, in_tmp):
    lines = start_lines(cli)
    assert lines.index("First steps:") < lines.index("Commands:")
    assert "mypt train --model_name first --input_file input.txt --config_file demo" in lines


@pytest.mark.parametrize("last", ["dante", "my model"])
def test_where_models_are_it_goes_on_with_the_one_saved_last(cli, in_tmp, last):
    for name in ("dante", "dante_gold", "my model"):
        folder = in_tmp / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "config.json").touch()
        when = 9 if name == last else 20 if name == "dante_gold" else 1
        os.utime(folder, (when, when))
    lines = start_lines(cli)
    assert f"To go on with {last}:" in lines
    quoted = "'my model'" if last == "my model" else last
    assert f"mypt train --model_name {quoted}" in lines
    assert "mypt list" in lines
    assert "First steps:" not in lines


def test_a_group_below_it_shows_its_help(cli):
    code, out, _ = cli("format")
    assert code == 2
    assert out.startswith("Usage: mypt format")
