"""What a type checker sees of mypt in the script of a user, far from the checkout."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("typed_use")  # which share what mypy read
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The examples of hooks leave types out for brevity; `mypt plugins new` has those of a plugin.
UNTYPED = {"hooks.md"}
WRONG = """\
import mypt

config = mypt.GPTConfig(n_heads=3)
tokenizer: int = mypt.load("dante").tokenizer
loader = mypt.GPTDataLoader(config, 3, text="a text")
loader.train_batch(1337, "0", 0)
mypt.Promblem
from mypt.plugins import GuardFactry
"""
SAID = [
    (3, "call-arg"),
    (4, "assignment"),
    (5, "arg-type"),
    (6, "arg-type"),
    (7, "attr-defined"),
    (8, "attr-defined"),
]


@pytest.fixture(scope="module")
def python(root, tmp_path_factory):
    """Make an environment with an editable install of mypt beside the other packages of here."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    build = "import sys, hatchling.build; hatchling.build.build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, folder], cwd=root, check=True)
    (wheel,) = folder.glob("*.whl")
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return Path(sysconfig.get_path("scripts", "venv", vars=paths)) / Path(sys.executable).name


@pytest.fixture(scope="module")
def said(root, python, tmp_path_factory):
    """Return what mypy finds in the examples of all pages, and in a script with mistakes."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
    for page in [root / "README.md", *(root / "docs").rglob("*.md")]:
        found = EXAMPLE.findall(page.read_text(encoding="utf-8"))
        for number, example in enumerate([] if page.name in UNTYPED else found):
            name = f"{page.stem.replace('-', '_')}_{number}.py"
            (folder / name).write_text(example, encoding="utf-8")
    scripts = sorted(path.name for path in folder.iterdir())
    assert {"README_0.py", "library_0.py", "generate_0.py"} <= set(scripts)
    strict = ["--strict", "--untyped-calls-exclude=torch", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *strict, f"--python-executable={python}", *scripts],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "MYPYPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_examples_of_all_pages_have_the_right_types(said):
    lines = [line for line in said.splitlines() if not line.startswith("wrong.py:")]
    assert lines == []


def test_mistakes_are_found(said):
    found = re.findall(r"^wrong\.py:(\d+): error: .*\[([a-z-]+)\]$", said, re.MULTILINE)
    assert [(int(line), kind) for line, kind in found] == SAID


def test_the_editable_install_finds_its_presets(python):
    done = subprocess.run(
        [python, "-m", "mypt", "configs"],
        cwd=python.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "tiny" in done.stdout
