"""What CI does on other systems: its commands exist, and its matrix is what mypt promises."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TESTS = ROOT / ".github" / "workflows" / "tests.yml"
TARGET = re.compile(r"^([a-z][a-z-]*)(?:-%)?:(?!=)", re.MULTILINE)
SYSTEMS = {"ubuntu-latest", "macos-latest", "windows-latest"}


def read(path):
    return yaml.safe_load(path.read_text("utf-8"))


def lines_of(path):
    """Give each line of shell of a workflow."""
    for job in read(path)["jobs"].values():
        for step in job.get("steps", ()):
            yield from step.get("run", "").splitlines()


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_targets_and_scripts_that_a_workflow_calls_exist(path):
    targets = set(TARGET.findall((ROOT / "Makefile").read_text("utf-8")))
    called = 0
    for words in map(str.split, lines_of(path)):
        if words[:1] == ["make"]:
            assert set(words[1:]) <= targets, words
        elif words[:1] in (["bash"], ["python"]) and words[1] != "-m":
            assert (ROOT / words[1]).is_file(), words
        else:
            continue
        called += 1
    assert called


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_workflow_has_no_more_rights_than_it_needs_and_ends(path):
    workflow = read(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    own = [job for job in workflow["jobs"].values() if "uses" not in job]
    assert all(job["timeout-minutes"] <= 120 for job in own)
    assert "http" not in "".join(lines_of(path)), "no workflow names a registry"


def test_the_tests_run_on_every_system_and_python_that_is_promised():
    matrix = read(TESTS)["jobs"]["run"]["strategy"]["matrix"]
    about = project()
    prefix = "Programming Language :: Python :: "
    promised = [c.removeprefix(prefix) for c in about["classifiers"] if c.startswith(prefix)]
    assert matrix["python"] == promised
    assert about["requires-python"] == f">={promised[0]}"
    assert set(matrix["os"]) == SYSTEMS
    cells = {(cell["python"], cell["dependencies"]) for cell in matrix["include"]}
    assert cells == {(promised[0], "pinned"), (promised[0], "oldest")}
    assert matrix["dependencies"] == ["newest"]


def test_make_matrix_runs_the_same_versions():
    matrix = read(TESTS)["jobs"]["run"]["strategy"]["matrix"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    cells = re.search(r"^CELLS := (.*)$", makefile, re.MULTILINE)[1].split()
    newest = [f"{version}-newest" for version in matrix["python"]]
    assert cells == [f"{matrix['python'][0]}-oldest", *newest]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_actions_are_pinned_to_a_commit_whose_tag_is_said(path):
    used = re.findall(r"^ *(?:- )?uses: (.+)$", path.read_text("utf-8"), re.MULTILINE)
    assert used
    for action in used:
        if action.startswith("./"):  # a workflow of this commit
            assert (ROOT / action).is_file(), action
        else:
            pinned = r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
            assert re.fullmatch(pinned, action), action


def test_an_action_is_the_same_commit_in_every_workflow():
    used = {
        tuple(action.split("@"))
        for path in PATHS
        for action in re.findall(r"uses: ([^.].+)$", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(used) == len(dict(used))


def test_a_night_with_another_torch_fails_no_commit():
    job = read(TESTS.with_stem("nightly"))["jobs"]["run"]
    assert job["continue-on-error"] is True
