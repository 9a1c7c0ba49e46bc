"""The distribution: its name, the commands that install it, and packages that hide it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from mypt.format.version import DISTRIBUTION, MYPT_VERSION

TEXTS = {".py", ".md", ".toml", ".json", ".txt", ".yml", ".cfg"}
# `mypt` as what pip installs; `mypt-alibi` and `mypt_lm-1.0.0.whl` are other names.
OLD_NAME = re.compile(r"""pip3? install(?: -\S+)* ["']?mypt(?![\w.-])|\bmypt\[[a-z]+\]""")
ALLOWED = re.compile("Do\\s+not `pip install mypt`")  # of the pages that install it
LICENCES = ("LICENSE", "mypt/tokenizers/gpt2.tiktoken.LICENSE")
SHIPPED = (
    *("mypt", "mypt_lm.py", "schemas", "configs", "pyproject.toml", "hatch_build.py"),
    *("README.md", "CHANGELOG.md", "LICENSE"),
)


def tracked(root):
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    paths = [root / name for name in listed.stdout.splitlines()]
    here = Path(__file__).resolve()
    return [path for path in paths if path.suffix in TEXTS and path.is_file() and path != here]


def test_no_message_page_or_package_asks_for_the_package_of_somebody_else(root):
    for path in tracked(root):
        text = ALLOWED.sub("", path.read_text(encoding="utf-8", errors="replace"))
        assert OLD_NAME.findall(text) == [], path
        if path.name == "pyproject.toml":
            project = tomllib.loads(text)["project"]
            needs = [*project.get("dependencies", ()), project["name"]]
            assert "mypt" not in [re.split(r"[^\w.-]", need)[0] for need in needs], path


@pytest.mark.parametrize(
    "line", ["pip install mypt", "pip install --upgrade mypt", 'pip install "mypt[plot]"']
)
def test_the_old_name_would_be_found(line):
    assert OLD_NAME.search(line)


@pytest.fixture(scope="module")
def site(root, tmp_path_factory):
    """Install mypt as its page says; return the folder of the packages.

    The one that builds is given what this environment has, and dependencies are those of here.
    """
    source, site = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("site")
    for name in SHIPPED:
        if (root / name).is_dir():
            shutil.copytree(root / name, source / name)
        else:
            shutil.copyfile(root / name, source / name)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    pip = [sys.executable, "-m", "pip"]
    made = [*pip, "wheel", *offline, "--wheel-dir", source, "."]
    subprocess.run(made, cwd=source, check=True)
    said = (root / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
    block = said.partition("```sh\n")[2].partition("```")[0]
    commands = [shlex.split(c) for c in re.findall(r"^python (-m pip install .*)$", block, re.M)]
    assert [command[-1] for command in commands] == [
        ".",
        f"mypt_lm-{MYPT_VERSION}-py3-none-any.whl",
    ]
    for command in commands:
        into = [*offline, "--target", site, "--upgrade"]
        subprocess.run([sys.executable, *command, *into], cwd=source, check=True)
    return site


def call(site, *arguments, before=()):
    """Run Python with mypt installed in `site`, and other packages in the folders `before`."""
    path = os.pathsep.join(map(str, [*before, site]))
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=site.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_of_the_package_is_installed(root, site):
    listed = subprocess.run(
        ["git", "ls-files", "mypt", "schemas", "configs"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    placed = {
        name if name.startswith("mypt/") else f"mypt/{name}" for name in listed.stdout.split()
    }
    assert {"mypt/py.typed", "mypt/tokenizers/gpt2.tiktoken", "mypt/configs/tiny.json"} <= placed
    files = {path.relative_to(site) for path in site.rglob("*") if path.suffix != ".pyc"}
    installed = {path.as_posix() for path in files if (site / path).is_file()}
    assert {name for name in installed if name.startswith("mypt/")} == placed
    about = f"mypt_lm-{MYPT_VERSION}.dist-info"
    licences = {f"{about}/licenses/{name}" for name in LICENCES}
    assert {"mypt_lm.py", f"{about}/entry_points.txt"} | licences <= installed
    written = metadata.PathDistribution(site / about).metadata
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (written["Name"], written["Version"]) == (DISTRIBUTION, MYPT_VERSION)
    assert written.get_all("Provides-Extra") == sorted(project["optional-dependencies"])
    needs = [need for need in written.get_all("Requires-Dist") if "extra ==" not in need]
    assert needs == project["dependencies"]


def test_an_installed_mypt_finds_its_presets_and_schemas(site):
    said = call(site, "-m", "mypt", "configs")
    assert (said.returncode, said.stderr) == (0, "")
    assert "tiny" in said.stdout
    said = call(site, "-c", "import mypt, mypt.configs; print(mypt.configs.__file__)")
    assert said.stdout.startswith(str(site))
    assert (site / f"mypt_lm-{MYPT_VERSION}.dist-info").is_dir()
    assert DISTRIBUTION == "mypt-lm"


@pytest.mark.parametrize("content", [None, "", "import not_installed\n", "__version__ = '1.1.0'\n"])
@pytest.mark.parametrize("arguments", [("-m", "mypt"), ("-c", "from mypt_lm import main; main()")])
def test_another_package_of_that_name_in_its_place_is_named(site, tmp_path, content, arguments):
    other = tmp_path / "mypt"
    other.mkdir()
    (other / "models.py").touch()
    if content is not None:
        (other / "__init__.py").write_text(content)
    said = call(site, *arguments, "--version", before=[tmp_path])
    if content is None:  # not a package to Python, which finds the one that is
        assert (said.returncode, said.stderr) == (0, "")
        return
    if arguments[0] == "-m":  # nothing of ours begins
        assert said.returncode == 1
        return
    assert said.returncode == 1
    assert said.stderr.startswith(f"error: {other}: is another package named mypt")
    assert len(said.stderr.splitlines()) == 1
    assert "pip install --force-reinstall mypt-lm" in said.stderr


def test_a_package_of_that_name_that_was_installed_over_ours_is_named(site, tmp_path):
    shutil.copytree(site, tmp_path / "both")
    (tmp_path / "both" / "mypt" / "__init__.py").write_text("__version__ = '1.1.0'\n")
    for arguments in (("-m", "mypt"), ("-c", "from mypt_lm import main; main()")):
        said = call(tmp_path / "both", *arguments, "--version")
        assert said.returncode == 1
        assert said.stderr.startswith("error: ")
        assert len(said.stderr.splitlines()) == 1
