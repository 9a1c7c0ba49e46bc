"""A run whose gold guard is a plugin's, through `mypt train`, with the package and without."""

import json
import re
import shutil
import sys

import pytest

from tests.support.installed import GUARD, install, others

TRAIN = ("train", "--model_name", "m", "--device", "cpu")
NEW = (
    *("--input_file", "input.txt", "--tokenization", "char", "--eval_iters", 1),
    *("--n_layer", 1, "--n_embd", 8, "--n_head", 1, "--block_size", 8, "--eval_interval", 2),
)


@pytest.fixture
def folder(in_tmp, text, cli, monkeypatch):
    """Train with a guard of the package acme-lenient, which this process finds."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    packages = install(
        in_tmp / "site-packages",
        "acme-lenient",
        GUARD.format(name="lenient"),
        module="acme_lenient",
    )
    monkeypatch.syspath_prepend(packages)
    (in_tmp / "input.txt").write_text(text)
    (in_tmp / "preset.json").write_text('{"gold_guards": {"lenient": {}}}')
    code, _, err = cli(*TRAIN, *NEW, "--config_file", "preset.json", "--max_iters", 2)
    assert code == 0, err
    yield in_tmp / "checkpoints" / "m"
    sys.modules.pop("acme_lenient", None)


@pytest.fixture
def without(folder, in_tmp):
    """Remove the package."""
    shutil.rmtree(in_tmp / "site-packages")


def test_going_on_without_the_package_is_one_line_and_changes_nothing(folder, without, refused):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    line = refused(*TRAIN, "--max_iters", 4)
    assert "requires the plugin acme-lenient 1.0, which is not installed" in line
    assert "pip install acme-lenient" in line
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_package_that_is_off_or_broken_is_not_to_be_installed(folder, in_tmp, cli, refused):
    line = refused("--disable-plugin", "acme-lenient", *TRAIN, "--max_iters", 4)
    assert "which is disabled; remove it from --disable-plugin" in line
    (in_tmp / "site-packages" / "acme_lenient.py").write_text("import nothing_of_that_name")
    sys.modules.pop("acme_lenient", None)
    code, _, err = cli(*TRAIN, "--max_iters", 4)
    assert code == 1
    warning, error = err.splitlines()
    assert "cannot be loaded: ModuleNotFoundError" in warning
    assert "which is broken; update it" in error


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "--model_name", "m", "--prompt", "the", "--max_new_tokens", 2),
        ("inspect", "--model_name", "m"),
        ("format", "validate", "checkpoints/m"),
        ("compare", "m", "m"),
    ],
)
def test_nothing_but_training_needs_it(folder, without, cli, words):
    code, out, err = cli(*words)
    assert code == 0, err
    assert out


def test_the_run_goes_on_without_its_guard_where_the_user_says_so(folder, without, cli):
    code, _, err = cli(*TRAIN, "--gold_guards", '{"lenient": false}', "--max_iters", 4)
    assert code == 0, err
    code, _, err = cli(*TRAIN, "--max_iters", 6)
    assert code == 0, err


def test_the_section_of_an_absent_plugin_survives_a_resume_byte_for_byte(folder, cli):
    path = folder / "training_state.json"
    document = json.loads(path.read_text())
    section = {"acme-gone": {"z": [1, 2.50, "é"], "a": {"deep": None}, "e": 1e-7}}
    path.write_text(json.dumps({**document, "plugins": section}, indent=2, ensure_ascii=False))
    code, _, err = cli(*TRAIN, "--max_iters", 4)
    assert code == 0, err
    first = _section(path)
    code, _, err = cli(*TRAIN, "--max_iters", 6)
    assert code == 0, err
    assert _section(path) == first
    written = json.loads(path.read_text())
    assert written["step"] == 6
    assert json.dumps(written["plugins"]) == json.dumps(section)


def _section(path):
    return re.search(r'"plugins": \{.*?^  \}', path.read_text(encoding="utf-8"), re.M | re.S)[0]
