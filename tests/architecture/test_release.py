"""What a release takes, and that the pages for contributors name what exists."""

import os
import re
import runpy
import shlex
import subprocess
from datetime import date
from pathlib import Path

import pytest
import yaml

from mypt.format.version import MYPT_VERSION

ROOT = Path(__file__).resolve().parents[2]
CHECK = runpy.run_path(str(ROOT / "release" / "check.py"))
PAGES = ("CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")
COMMAND = re.compile(r"`([^`\n]+)`")
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
DAY = date(2026, 11, 30)
FILES = {
    "mypt/format/version.py": 'MYPT_VERSION = "1.0.0"\n',
    "plugins/mypt-mine/pyproject.toml": '[project]\nversion = "1.0.0"\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: 1.0.0\ndate-released: 2026-11-30\n",
    "CHANGELOG.md": "# C\n\n## [Unreleased]\n\n## [1.0.0] - 2026-11-30\n\nAll of it.\n",
}


def git(root, *words, environment=()):
    about = ("-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "tag.gpgsign=false")
    command, env = ["git", *about, *words], os.environ | dict(environment)
    subprocess.run(command, cwd=root, check=True, capture_output=True, env=env)


@pytest.fixture
def tree(tmp_path):
    """Give a function that commits a tree that may be released, but for some files."""

    def make(**changed):
        git(tmp_path, "init", "--quiet", "--initial-branch=main")
        for name, text in (FILES | changed).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "--message=all")
        return tmp_path

    return make


def problems(root):
    return list(CHECK["find_problems"](root, DAY))


def test_a_tree_that_says_one_version_of_today_may_be_released(tree):
    assert problems(tree()) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("plugins/mypt-mine/pyproject.toml", "1.0.0", "0.9.0", "plugins/mypt-mine/pyproject.toml"),
        ("CITATION.cff", "1.0.0", "0.9.0", "CITATION.cff has not version 1.0.0"),
        ("CITATION.cff", "11-30", "11-29", "date-released 2026-11-30"),
        ("CHANGELOG.md", "11-30", "11-29", "no section [1.0.0] - 2026-11-30 on top"),
        ("CHANGELOG.md", "[1.0.0]", "[0.9.0]", "no section [1.0.0] - 2026-11-30 on top"),
        ("CHANGELOG.md", FILES["CHANGELOG.md"], "# C\n", "does not begin with the section [Unr"),
        (
            "CHANGELOG.md",
            "\n## [1.0.0] - 2026-11-30\n\nAll of it.\n",
            "",
            "no section [1.0.0] - 2026-11-30",
        ),
        ("mypt/format/version.py", "MYPT_VERSION", "_X", "version.py has no line MYPT_VERSION"),
        ("CHANGELOG.md", "## [Unreleased]\n", "", "does not begin with the section [Unreleased]"),
        ("CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- x\n", "lines under [Unreleased]"),
    ],
)
def test_what_differs_stands_in_the_way_in_one_line(tree, name, old, new, told):
    (line,) = problems(tree(**{name: FILES[name].replace(old, new)}))
    assert told in line


def test_changes_another_branch_and_a_version_of_before_stand_in_the_way(tree):
    root = tree()
    (root / "more").touch()
    git(root, "tag", "v1.0.0")
    git(root, "switch", "--quiet", "--create", "other")
    branch, tagged, changed = problems(root)
    assert changed.startswith("the tree has changes")
    assert branch.startswith("this is other")
    assert tagged.startswith("v1.0.0 was released before")


@pytest.fixture
def tagged(tree):
    """Give a tree of version 1.0.0 that was tagged on the day of its changelog."""
    root = tree()
    noon = {"GIT_COMMITTER_DATE": "2026-11-30T12:00:00+00:00"}
    git(root, "tag", "--annotate", "--message=mypt", "v1.0.0", environment=noon)
    return root


def test_a_tag_of_its_version_on_main_may_be_uploaded_on_any_later_day(tagged):
    git(tagged, "checkout", "--quiet", "--detach", "v1.0.0")
    assert list(CHECK["find_tag_problems"](tagged, "v1.0.0")) == []
    (missing,) = CHECK["find_tag_problems"](tagged, "v2.0.0")
    assert missing.startswith("there is no tag v2.0.0")


def test_a_tag_of_another_version_or_day_or_beside_main_stands_in_the_way(tagged):
    git(tagged, "switch", "--quiet", "--detach")
    git(tagged, "commit", "--quiet", "--allow-empty", "--message=beside")
    late = {"GIT_COMMITTER_DATE": "2026-12-01T12:00:00+00:00"}
    git(tagged, "tag", "--annotate", "--message=mypt", "v1.0.1", environment=late)
    git(tagged, "switch", "--quiet", "main")
    found = list(CHECK["find_tag_problems"](tagged, "v1.0.1"))
    assert [problem.partition(",")[0].partition(";")[0] for problem in found] == [
        "the tag is v1.0.1",
        "v1.0.1 is not the commit that is checked out",
        "v1.0.1 is not on main",
        "CHANGELOG.md has no section [1.0.0] - 2026-12-01 on top",
        "CITATION.cff has not version 1.0.0 and date-released 2026-12-01",
    ]


def test_the_version_is_read_as_python_reads_it():
    assert CHECK["read_version"](ROOT) == MYPT_VERSION


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_file_that_a_page_names_exists(page):
    text = (ROOT / page).read_text("utf-8")
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S)).splitlines()
    found = [line.partition("  #")[0].strip() for line in blocks] + COMMAND.findall(text)
    targets = set(TARGET.findall((ROOT / "Makefile").read_text("utf-8")))
    seen = 0
    for command in found:
        words = shlex.split(command) if command.count("'") % 2 == 0 else command.split()
        if words[:1] == ["make"] and len(words) > 1:
            assert words[1] in targets, command
        elif words[:2] == ["python", "-m"] and words[2].startswith("tests."):
            assert (ROOT / f"{words[2].replace('.', '/')}.py").is_file(), command
        elif len(words) == 2 and words[0] == "python":
            assert (ROOT / words[1]).is_file(), command
        elif len(words) == 1 and re.match(
            r"(tests|docs|mypt|schemas|plugins|\.github|\.ci)/", command
        ):
            assert list(ROOT.glob(command)), command
        else:
            continue
        seen += 1
    assert seen > 0
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / target).exists(), target


def test_the_commands_of_the_hooks_are_those_of_make_check(root):
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text("utf-8"))
    makefile = (root / "Makefile").read_text("utf-8")
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    assert len(entries) == 4
    for entry in entries:
        program, *words = entry.split()
        assert (root / program).exists() or not (root / ".venv").exists(), entry
        command = " ".join([program.replace(".venv/bin", "$(BIN)"), *words[:1]])
        assert command.removesuffix(" --force-exclude") in makefile, entry


def test_the_hooks_refuse_what_make_check_would(root, tmp_path):
    """By pre-commit itself, in a repository of one file that is not part of mypt."""
    if not (root / ".venv" / "bin" / "pre-commit").exists():
        pytest.skip("there is no .venv with pre-commit")
    text = (root / ".pre-commit-config.yaml").read_text("utf-8")
    (tmp_path / ".pre-commit-config.yaml").write_text(text)
    (tmp_path / ".venv").symlink_to(root / ".venv")
    (tmp_path / "pyproject.toml").write_text((root / "pyproject.toml").read_text("utf-8"))
    (tmp_path / "bad.py").write_text("import os\nx = 1;y=2\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "bad.py", ".pre-commit-config.yaml", "pyproject.toml")
    command = [root / ".venv" / "bin" / "pre-commit", "run", "--all-files"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"ruff format\.+Failed", done.stdout)
    assert re.search(r"ruff check\.+Failed", done.stdout)
    assert "F401" in done.stdout


def test_the_workflow_of_a_release_uploads_only_what_was_checked_tested_and_tried(root):
    path = root / ".github" / "workflows" / "release.yml"
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {}
    build, upload = workflow["jobs"]["build"], workflow["jobs"]["upload"]
    runs = "\n".join(step.get("run", "") for step in build["steps"])
    first, second, third = (f"release/{name}.py" for name in ("check", "build", "smoke"))
    assert runs.index(first) < runs.index(second) < runs.index(third)
    assert workflow["jobs"]["tests"]["uses"] == "./.github/workflows/tests.yml"
    assert "workflow_call" in yaml.safe_load(path.with_stem("tests").read_text("utf-8"))[True]
    assert (upload["needs"], upload["environment"]) == (["tests", "build"], "release")
    assert upload["permissions"] == {"id-token": "write"}
    assert "id-token" not in build["permissions"]


def test_the_forms_for_issues_are_of_the_kind_that_is_understood(root):
    forms = sorted((root / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 4
    for form in forms:
        read = yaml.safe_load(form.read_text("utf-8"))
        if form.name == "config.yml":
            continue
        assert {"name", "description", "body"} <= read.keys()
        ids = [field["id"] for field in read["body"] if field["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 0
        assert {field["type"] for field in read["body"]} <= {"markdown", "textarea", "input"}
