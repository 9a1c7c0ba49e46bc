"""Trees, legacy checkpoints and foreign ones, through the door that validates."""

import json
import shutil

import pytest

from mypt.cli.main import format_group, run
from mypt.format.discover import find_to_validate
from mypt.format.schema import check as schema_check
from mypt.format.tensors.pickles import pickle_reader
from mypt.format.validate import validate
from mypt.plugins import manager
from mypt.plugins.manager import load_plugins

PLUGINS = load_plugins()
READERS = tuple(PLUGINS.readers.values())


def check(path):
    return validate(path, PLUGINS.layouts, READERS)


def errors(path):
    return [problem for problem in check(path) if problem.severity == "error"]


def test_every_checkpoint_of_the_earlier_programs_is_found_and_well(fixtures):
    found = [
        path
        for group in ("mypt", "foreign")
        for path in find_to_validate(fixtures / group, READERS)
    ]
    assert {path.parent.name for path in found} >= {"mypt", "foreign", "build_llm_char"}
    assert len(found) >= 20
    for path in found:
        problems = check(path)
        assert not [str(p) for p in problems if p.severity == "error"]
        assert any(p.kind == "version.legacy" for p in problems), path


@pytest.mark.parametrize(
    "name", ["legacy_latest_char", "gpt_step_char", "bundle_bf16_perhead_char", "legacy_final_char"]
)
def test_a_legacy_checkpoint_is_named_with_the_way_to_a_bundle(fixtures, name):
    note = check(fixtures / "mypt" / name)[-1]
    assert note.severity == "note"
    assert "for the reader mypt_f" in note.what
    assert "mypt format migrate" in note.fix


def test_what_a_foreign_file_does_not_say_is_a_warning_that_names_the_option(fixtures):
    warning, note = check(fixtures / "foreign" / "build_llm_lora")
    assert (warning.severity, note.severity) == ("warning", "note")
    assert "--option" in str(warning)


def test_a_damaged_legacy_file_in_a_tree_is_an_error(fixtures, tmp_path):
    source = fixtures / "mypt" / "legacy_latest_char" / "latest.pt"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "latest.pt").write_bytes(source.read_bytes()[:-100])
    (problem,) = check(tmp_path)
    assert problem.severity == "error"
    assert problem.file == str(tmp_path / "run" / "latest.pt")


@pytest.fixture
def tree(bundle, tmp_path, edit):
    """A bundle that is well, one that is not, two presets, and files of others."""
    shutil.copytree(bundle, tmp_path / "deep" / "down" / "bad")
    edit(tmp_path / "deep" / "down" / "bad" / "config.json", n_layer=7)
    (tmp_path / "tiny.json").write_text('{"n_layer": 2, "n_head": 2, "n_embd": 8}')
    (tmp_path / "typo.json").write_text('{"n_layer": 2, "n_heads": 2}')
    (tmp_path / "package.json").write_text('{"name": "something else"}')
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    return tmp_path


def test_a_tree_is_checked_whole_and_each_problem_carries_its_path(tree, bundle):
    names = [str(path.relative_to(tree)) for path in find_to_validate(tree, READERS)]
    assert names == [bundle.name, "deep/down/bad", "tiny.json", "typo.json"]
    places = {(problem.file, problem.where) for problem in errors(tree)}
    assert places == {
        (str(tree / "deep/down/bad/config.json"), "/n_layer"),
        (str(tree / "typo.json"), "/n_heads"),
    }


def test_the_command_sums_up_per_checkpoint(tree, bundle, capsys):
    assert run(format_group, "mypt format", ["validate", str(tree)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"{bundle}: valid" in lines
    assert f"{tree / 'typo.json'}: invalid, 1 error" in lines
    assert lines[-1] == "4 checked, 2 invalid"
    assert run(format_group, "mypt format", ["validate", "--json", str(tree)]) == 1
    reports = json.loads(capsys.readouterr().out)
    assert [report["valid"] for report in reports] == [True, False, True, False]


def test_an_empty_tree_holds_no_checkpoint(tmp_path):
    (problem,) = check(tmp_path)
    assert "holds no checkpoint" in problem.what


def count_calls(monkeypatch, owner, name):
    """Count the calls of a function from now on."""
    calls, function = [], getattr(owner, name)

    def counted(*arguments, **options):
        calls.append(arguments)
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_a_tree_is_set_up_once_and_its_bundles_of_one_kind_share_their_headers(
    bundle, monkeypatch, capsys
):
    for number in range(5):
        shutil.copytree(bundle, bundle.with_name(f"copy{number}"))
    pickle_reader._read_small_pickle.cache_clear()
    headers = count_calls(monkeypatch, pickle_reader.Interpreter, "run")
    assert run(format_group, "mypt format", ["validate", str(bundle)]) == 0
    assert len(headers) == 2  # of the weights, and of the optimizer
    discoveries = count_calls(monkeypatch, manager, "find_entry_points")
    schemas = count_calls(monkeypatch, schema_check, "make_test")
    assert run(format_group, "mypt format", ["validate", str(bundle.parent)]) == 0
    assert capsys.readouterr().out.endswith("6 checked, 0 invalid\n")
    assert (len(headers), len(schemas), len(discoveries)) == (2, 0, 1)
