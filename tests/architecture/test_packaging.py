import tomllib
from pathlib import Path

import pytest

from mypt.format.resources import data_dir
from mypt.format.version import DISTRIBUTION
from mypt.plugins import scaffold

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setuptools(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_listed(root, setuptools):
    found = {
        ".".join(path.parent.relative_to(root).parts)
        for path in (root / "mypt").rglob("__init__.py")
        if "templates" not in path.parts
    }
    assert set(setuptools["packages"]) == found | {"mypt.schemas", "mypt.configs"}


def test_every_data_file_is_shipped(root, setuptools):
    for name in ("schemas", "configs"):
        assert setuptools["package-data"][f"mypt.{name}"] == ["**/*.json"]
        shipped = {path.name for path in (root / name).rglob("*.json")}
        assert shipped
        assert shipped <= set(walk(data_dir(name)))


def test_the_gpt2_ranks_are_shipped_with_their_licence(root, setuptools):
    patterns = setuptools["package-data"]["mypt.tokenizers"]
    assert patterns == ["*.tiktoken", "*.LICENSE"]
    assert len(list((root / "mypt" / "tokenizers").glob("gpt2.tiktoken*"))) == 2


def test_the_templates_of_a_plugin_are_shipped(root, setuptools):
    patterns = setuptools["package-data"]["mypt.plugins"]
    folder = root / "mypt" / "plugins"
    shipped = {path for pattern in patterns for path in folder.glob(pattern)}
    assert shipped == {folder / "templates" / file for file in scaffold.TEMPLATES}
    there = {path for path in (folder / "templates").rglob("*") if path.is_file()}
    assert {path for path in there if path.suffix != ".pyc"} == shipped


def test_nothing_that_ships_names_what_lies_beside_a_checkout(root):
    for folder in ("mypt", "schemas", "configs"):
        for path in (root / folder).rglob("*"):
            if path.suffix in {".py", ".json"}:
                assert "shared/" not in path.read_text(encoding="utf-8"), path


def plugin_packages():
    return sorted((ROOT / "plugins").glob("*/pyproject.toml"))


@pytest.mark.parametrize("path", plugin_packages(), ids=lambda path: path.parent.name)
def test_every_plugin_package_can_be_installed_on_its_own(path):
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    project, folder = document["project"], path.parent
    assert project["name"] == folder.name
    assert DISTRIBUTION in project["dependencies"]
    found = {
        ".".join(init.parent.relative_to(folder).parts)
        for init in folder.glob("mypt_*/**/__init__.py")
    }
    assert set(document["tool"]["setuptools"]["packages"]) == found
    for module in project["entry-points"]["mypt"].values():
        assert (folder / f"{module.replace('.', '/')}.py").is_file()
    readme = (folder / project["readme"]).read_text(encoding="utf-8")
    assert readme.startswith(f"# {folder.name}\n")
    assert f"pip install -e plugins/{folder.name}" in readme
    assert list((folder / "tests").glob("test_*.py"))


def walk(folder):
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from walk(entry)
        else:
            yield entry.name
