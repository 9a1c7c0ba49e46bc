import tomllib
from pathlib import Path

import pytest

from mypt.format.resources import data_dir
from mypt.format.version import DISTRIBUTION
from mypt.plugins import scaffold

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hatch(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]


def test_what_lies_beside_the_package_is_shipped_in_it(root, hatch):
    assert hatch["only-include"] == ["mypt", "mypt_lm.py", "schemas", "configs"]
    mapped = {name: f"mypt/{name}" for name in ("schemas", "configs")}
    assert hatch["targets"]["wheel"]["sources"] == mapped
    for name in mapped:
        assert data_dir(name) == root / name
        assert not (root / "mypt" / name).exists()


def test_the_templates_of_a_plugin_are_all_that_lies_there(root):
    folder = root / "mypt" / "plugins" / "templates"
    there = {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert there == {folder / file for file in scaffold.TEMPLATES}


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
    assert any(need.startswith(f"{DISTRIBUTION}>=") for need in project["dependencies"])
    assert [init.parent.name for init in folder.glob("*/__init__.py")] == [
        folder.name.replace("-", "_")  # which the build backend finds by the name of the project
    ]
    for module in project.get("entry-points", {}).get("mypt", {}).values():
        assert (folder / f"{module.replace('.', '/')}.py").is_file()
    readme = (folder / project["readme"]).read_text(encoding="utf-8")
    assert readme.startswith(f"# {folder.name}\n")
    assert f"pip install -e plugins/{folder.name}" in readme
    assert list((folder / "tests").glob("test_*.py"))
