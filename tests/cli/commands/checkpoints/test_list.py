"""`mypt list`: a table that fits the terminal, and the same as JSON."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import mypt


@pytest.fixture
def folder(bundle, in_tmp, monkeypatch):
    """Models with a copy, a damaged one and one with a very long name."""
    monkeypatch.delenv("COLUMNS", raising=False)
    for name in (
        "cat",
        "cat_gold",
        "broken",
        "a_run_with_all_of_its_settings_in_its_name_lr_0.0003",
    ):
        source = bundle.with_name("cat_gold") if name == "cat_gold" else bundle
        shutil.copytree(source, in_tmp / "checkpoints" / name)
    (in_tmp / "checkpoints" / "broken" / "model.pt").write_bytes(b"")
    return in_tmp / "checkpoints"


def lines_of(out):
    return [re.split(r"  +", line.strip()) for line in out.splitlines()]


def test_models_are_listed_with_what_they_record(cli, folder):
    code, out, err = cli("list")
    assert (code, err) == (0, "")
    lines = lines_of(out)
    assert lines[0] == ["name", "format", "params", "step", "best loss", "saved", "size", "copy"]
    loss = mypt.get_model_info("cat")["best_loss"]
    cells = next(line for line in lines if line[0] == "cat")
    assert [cells[1], *cells[3:5]] == ["mypt 2.0", "60", f"{loss:.4f}"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", cells[5])
    assert lines[-1] == ["4 checkpoints, 1 not valid"]
    (broken,) = (line for line in lines if line[0] == "broken")
    assert broken[1].startswith("not valid: model.pt is 0 bytes, but was saved with ")
    assert next(line for line in lines if line[0] == "cat_gold")[-1] == "gold"
    assert next(line for line in lines if line[0] == "cat")[-1] == "same weights"
    assert re.search(r"^a_run\S+ .*\n  cat ", out, re.MULTILINE)  # below what it is a copy of


def test_json_is_the_list_of_the_python_function(cli, folder):
    _, out, _ = cli("list", folder, "--json")
    assert json.loads(out) == mypt.list_checkpoints(folder)


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 140])
def test_the_table_fits_the_terminal(cli, folder, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = cli("list", folder)
    assert max(map(len, out.splitlines())) <= columns
    header = out.splitlines()[0].split()
    assert header[:1] == ["name"]
    assert ("step" in header) is (columns >= 40)
    assert ("size" in header) is (columns >= 100)
    name = re.search(r"^ *(a_r\S*_lr_0\.0003)", out, re.MULTILINE)[1]
    assert ("..." in name) is (columns < 140)


def test_what_opens_but_cannot_be_trained_has_its_reason_on_a_line_of_its_own(cli, folder):
    (folder / "cat" / "optimizer.pt").write_bytes(b"")
    _, out, _ = cli("list", folder / "cat")
    line, reason = out.splitlines()[1:3]
    assert line.startswith("cat   mypt 2.0")
    assert reason.startswith("    not valid: optimizer.pt is 0 bytes")
    assert reason.endswith("; only training needs it")


def test_what_takes_an_option_is_counted_apart(cli, fixtures, in_tmp):
    (in_tmp / "poem").mkdir()
    shutil.copy(fixtures / "foreign" / "nanogpt_char" / "ckpt.pt", in_tmp / "poem")
    _, out, _ = cli("list", in_tmp)
    assert out.endswith("1 checkpoint, 1 not without an option, a plugin or a newer mypt\n")
    assert "    needs an option: ckpt.pt does not hold the characters" in out


def test_what_takes_a_newer_mypt_is_counted_with_what_needs_something(cli, folder):
    config = folder / "cat" / "config.json"
    document = json.loads(config.read_text("utf-8")) | {"requires": ["sinks"]}
    config.write_text(json.dumps(document), "utf-8")
    _, out, _ = cli("list", folder / "cat")
    assert "    needs a newer mypt: config.json#/requires/0" in out
    assert out.endswith(", 1 not without an option, a plugin or a newer mypt\n")


def test_nothing_to_list_is_said(cli, refused, in_tmp):
    code, out, err = cli("list")
    assert (code, out) == (0, "")
    example = "mypt train --model_name first --input_file input.txt --config_file demo"
    assert err == f"no checkpoints below checkpoints; train one with: {example}\n"
    assert cli("list", "--json")[1] == "[]\n"
    (in_tmp / "empty").mkdir()
    assert cli("list", "empty")[2] == "no checkpoints below empty\n"
    assert "no folder `nowhere`" in refused("list", "nowhere", code=2)


def test_a_link_to_a_disk_that_is_not_mounted_is_named(cli, refused, in_tmp):
    (in_tmp / "checkpoints").symlink_to("unmounted")
    why = "checkpoints is a link to unmounted, where there is no folder"
    line = f"no checkpoints below checkpoints; {why}; make that folder, or mount its disk\n"
    assert cli("list") == (0, "", line)
    assert why in refused("generate", "dante", code=2)
    (in_tmp / "a.txt").write_text("the cat sat on the mat\n" * 20)
    wanted = ["--n_layer", "1", "--n_head", "1", "--n_embd", "8", "--block_size", "8"]
    wanted += ["--tokenization", "char", "--max_iters", "1"]
    assert why in refused("train", "--model_name", "dante", "--input_file", "a.txt", *wanted)


def test_names_that_would_control_a_terminal_are_escaped(cli, folder):
    (folder / "cat").rename(folder / "c\x1b[2Jat")
    _, out, _ = cli("list", folder)
    assert "\x1b" not in out
    assert "c\\u001b[2Jat" in out


@pytest.mark.parametrize("columns", [60, 80])
def test_wide_characters_take_two_columns(cli, folder, monkeypatch, columns):
    from rich.cells import cell_len

    for number in range(2):
        shutil.copytree(folder / "broken", folder / f"{number}{'日本語' * 20 * number}")
    (folder / "cat").rename(folder / "語語")
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = cli("list", folder)[1].splitlines()
    assert max(map(cell_len, lines)) <= columns
    loss = f"{mypt.get_model_info('語語')['best_loss']:.4f}"
    starts = {cell_len(line[: line.rindex(loss)]) for line in lines if loss in line}
    assert len(starts) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_is_json_whatever_a_name_holds_and_a_terminal_shows(folder, encoding):
    (folder / "cat").rename(folder / "é語")
    (folder / "broken").rename(folder / os.fsdecode(b"\xff"))
    command = [sys.executable, "-m", "mypt", "list", "--json"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    names = {one["name"] for one in json.loads(done.stdout.decode(encoding))}
    assert {"é語", "\udcff"} <= names
