import pytest

from mypt.cli.wrapping import terminal_width, wrap_command, wrap_value

COMMAND = ["mypt train", "--config_file tiny", "--model_name my_model", "--input_file input.txt"]


@pytest.fixture
def columns(monkeypatch):
    return lambda width: monkeypatch.setenv("COLUMNS", str(width))


def test_what_goes_to_no_terminal_is_not_broken(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal_width() >= 10_000
    assert wrap_value("a: ", "word " * 500) == ["a: " + ("word " * 500).strip()]
    assert wrap_command(COMMAND) == ["  " + " ".join(COMMAND)]


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80])
def test_a_command_is_broken_so_that_it_can_be_copied(columns, width):
    columns(width)
    lines = wrap_command(COMMAND)
    assert " ".join(line.removesuffix("\\").strip() for line in lines) == " ".join(COMMAND)
    assert all(line.endswith(" \\") for line in lines[:-1])
    longest = 4 + max(map(len, COMMAND)) + 2
    assert max(map(len, lines)) <= max(width, longest)


def test_a_value_is_indented_behind_its_name(columns):
    columns(24)
    assert wrap_value("  name: ", "one two three four") == ["  name: one two three", "        four"]
    assert wrap_value("  name: ", "") == ["  name: "]
    assert wrap_value("a: ", "x\x1b[2J") == ["a: x\\u001b[2J"]
