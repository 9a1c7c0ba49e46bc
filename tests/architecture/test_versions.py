"""One version, said alike wherever it stands."""

import re
import tomllib
from datetime import date
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import mypt
from mypt.format.version import DISTRIBUTION, MYPT_VERSION

ROOT = Path(__file__).resolve().parents[2]
MAJOR = int(MYPT_VERSION.partition(".")[0])
PLUGINS = sorted((ROOT / "plugins").glob("*/pyproject.toml"))
SECTION = re.compile(r"^## \[([^]]+)\](?: - (\d{4}-\d\d-\d\d))?$", re.MULTILINE)
WHEEL = re.compile(r"mypt_lm-([0-9][0-9.]*)-py3")
BOUNDS = f"{DISTRIBUTION}>={MAJOR}.0,<{MAJOR + 1}"


def project(path):
    return tomllib.loads(path.read_text("utf-8"))["project"]


def test_python_the_package_and_the_command_tell_one_version(cli):
    assert mypt.__version__ == MYPT_VERSION == metadata.version(DISTRIBUTION)
    assert cli("--version")[1] == f"mypt, version {MYPT_VERSION}\n"


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.parent.name)
def test_a_plugin_has_this_version_and_takes_every_mypt_of_this_major_version(path):
    assert project(path)["version"] == MYPT_VERSION
    assert project(path)["dependencies"][0] == BOUNDS


def test_a_new_plugin_takes_every_mypt_of_this_major_version(root):
    template = project(root / "mypt" / "plugins" / "templates" / "pyproject.toml")
    assert template["dependencies"] == [BOUNDS]
    assert f'dependencies = ["{BOUNDS}"]' in (root / "docs/how-to/write-a-plugin.md").read_text()


def test_the_changelog_and_the_citation_tell_the_version_and_its_day(root):
    text = (root / "CHANGELOG.md").read_text("utf-8")
    (first, undated), (version, day), *_ = SECTION.findall(text)
    assert (first, undated, version) == ("Unreleased", "", MYPT_VERSION)
    for name, _ in SECTION.findall(text):
        assert re.search(rf"^\[{re.escape(name)}\]: \.\./\.\./\S+$", text, re.M), name
    cited = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    assert (cited["version"], cited["date-released"]) == (MYPT_VERSION, date.fromisoformat(day))
    about = project(root / "pyproject.toml")
    assert cited["license"] == about["license"]
    assert [author["name"] for author in cited["authors"]] == [
        author["name"] for author in about["authors"]
    ]
    assert " ".join(cited["abstract"].split()) == about["description"]


def test_a_release_reads_in_two_minutes(root):
    text = (root / "CHANGELOG.md").read_text("utf-8")
    section = text.partition(f"## [{MYPT_VERSION}]")[2].partition("\n## ")[0]
    assert 100 < len(section.split()) < 500  # people read some 250 words a minute


def test_the_citation_has_what_the_format_of_citations_requires(root):
    cited = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= cited.keys()


def test_every_page_names_the_wheel_of_this_version(root):
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    found = {
        (path.relative_to(root).as_posix(), version)
        for path in pages
        for version in WHEEL.findall(path.read_text("utf-8"))
    }
    assert found
    assert {version for _, version in found} == {MYPT_VERSION}, found


def test_extras_are_documented_and_all_has_each_but_that_of_developers(root):
    extras = project(root / "pyproject.toml")["optional-dependencies"]
    page = (root / "docs" / "how-to" / "install.md").read_text("utf-8")
    assert re.findall(rf"^\| `{DISTRIBUTION}\[(\w+)\]`", page, re.M) == sorted(extras)
    others = sorted(extras.keys() - {"all", "dev", "docs"})
    assert extras["all"] == [f"{DISTRIBUTION}[{','.join(others)}]"]
    developers = {Requirement(line).name for line in extras["dev"]}  # who may need later ones
    for name in others:
        assert {Requirement(line).name for line in extras[name]} <= developers, name
