"""What is built for users: contents, metadata, and that it runs wherever it lies."""

import ast
import hashlib
import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from mypt.format.version import DISTRIBUTION, MYPT_VERSION

ROOT = Path(__file__).resolve().parents[2]
RELEASE = runpy.run_path(str(ROOT / "release" / "build.py"))
REPOSITORY = "https://host.invalid/owner/mypt"
PROJECTS = [path.name if path != ROOT else DISTRIBUTION for path in RELEASE["list_projects"](ROOT)]
# What a package of ours may hold; a new kind of file is put here by whoever needs it in there.
KINDS = {
    *(".py", ".json", ".jinja", ".tiktoken", ".LICENSE", ".typed", ".html", ".css", ".js"),
    *(".md", ".toml"),  # of the templates of `mypt plugins new`
}
BESIDE = {"METADATA", "WHEEL", "RECORD", "entry_points.txt"}
# By what name a dependency is imported, where that is not its own.
MODULES = {"pyyaml": "yaml", "mypt-lm": "mypt"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Build all packages as a release does, of a repository of that address."""
    folder = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPT_REPOSITORY", REPOSITORY)
        RELEASE["build"](ROOT, folder)
    return folder


def file_name(project):
    return f"{project.replace('-', '_')}-{MYPT_VERSION}"


def wheel_of(dist, project):
    return dist / f"{file_name(project)}-py3-none-any.whl"


def sdist_of(dist, project):
    return dist / f"{file_name(project)}.tar.gz"


def metadata_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def tracked(*paths):
    listed = ["git", "ls-files", *paths]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_they_pass_the_check_of_an_index(dist):
    files = sorted(dist.glob("*.*"))
    assert len(files) == 2 * len(PROJECTS)
    command = [sys.executable, "-m", "twine", "check", "--strict", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == len(files)


@pytest.mark.parametrize("project", PROJECTS)
def test_a_wheel_holds_the_package_and_its_licence_and_nothing_else(dist, project):
    with zipfile.ZipFile(wheel_of(dist, project)) as archive:
        names = set(archive.namelist())
    info = f"{file_name(project)}.dist-info/"
    about = {name.removeprefix(info) for name in names if name.startswith(info)}
    assert {name for name in about if not name.startswith("licenses/")} == BESIDE
    assert "licenses/LICENSE" in about
    held = {name for name in names if not name.startswith(info)}
    if project == DISTRIBUTION:
        moved = {n for folder in ("schemas", "configs") for n in tracked(folder)}
        assert held == tracked("mypt", "mypt_lm.py") | {f"mypt/{name}" for name in moved}
    else:
        folder = f"plugins/{project}/"
        package = tracked(folder + project.replace("-", "_"))
        assert held == {name.removeprefix(folder) for name in package}
    assert {Path(name).suffix for name in held} <= KINDS
    assert not [name for name in held if "test_" in name and "templates" not in name]


@pytest.mark.parametrize("project", PROJECTS)
def test_an_sdist_holds_what_builds_the_wheel_and_nothing_else(dist, project):
    with tarfile.open(sdist_of(dist, project)) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    pages = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", ".gitignore"}
    if project == DISTRIBUTION:
        pages |= {"hatch_build.py", "CHANGELOG.md", "mypt_lm.py"}
        assert names == pages | tracked("mypt", "schemas", "configs")
    else:
        folder = f"plugins/{project}/"
        package = tracked(folder + project.replace("-", "_"))
        assert names == pages | {name.removeprefix(folder) for name in package}


@pytest.mark.parametrize("project", [DISTRIBUTION, "mypt-serve"])
def test_an_sdist_builds_the_same_wheel_byte_for_byte(dist, project, tmp_path, monkeypatch):
    monkeypatch.delenv("MYPT_REPOSITORY", raising=False)  # whoever builds it need not know
    with tarfile.open(sdist_of(dist, project)) as archive:
        archive.extractall(tmp_path, filter="data")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    done = subprocess.run(command, cwd=tmp_path / file_name(project), capture_output=True)
    assert done.returncode == 0, done.stderr
    digests = {
        hashlib.sha256(wheel_of(folder, project).read_bytes()).hexdigest()
        for folder in (tmp_path, dist)
    }
    assert len(digests) == 1


def test_a_package_without_an_address_builds_too(tmp_path, monkeypatch):
    monkeypatch.delenv("MYPT_REPOSITORY", raising=False)
    command = [sys.executable, "-m", "hatchling", "build", "-d", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert "Project-URL" not in metadata_of(wheel_of(tmp_path, DISTRIBUTION))


def test_the_links_of_the_package_lead_to_what_is_in_the_repository(dist):
    about = metadata_of(wheel_of(dist, DISTRIBUTION))
    urls = dict(line.split(", ") for line in about.get_all("Project-URL"))
    assert urls["Repository"] == REPOSITORY
    assert {"Documentation", "Changelog", "Issues", "Security"} <= urls.keys()
    page = about.get_payload()
    links = re.findall(r"\]\(([^)\s]+)\)", page)
    assert len(links) > 5
    pattern = re.compile(rf"{REPOSITORY}/(?:blob|raw)/(?:main|v{MYPT_VERSION})/([^#]+)")
    inside = [*urls.values(), *links]
    paths = [found[1] for link in inside if (found := pattern.match(link))]
    assert len(paths) > 5
    for path in paths:
        assert (ROOT / path).exists(), path
    for link in links:
        assert link.startswith(("http", "#")), link


@pytest.mark.parametrize("project", PROJECTS)
def test_a_package_says_who_made_it_what_it_is_for_and_how_finished_it_is(dist, project):
    about = metadata_of(wheel_of(dist, project))
    assert about["License-Expression"] == "MIT"
    assert about["Author"] == "The mypt developers"
    assert about["Keywords"]
    assert about["Requires-Python"] == ">=3.11"
    assert "Development Status :: 5 - Production/Stable" in about.get_all("Classifier")


def test_nothing_in_a_package_names_the_machine_that_built_it(dist):
    for wheel in dist.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                assert os.fsencode(str(ROOT)) not in archive.read(name), name


def run(path, *words, cwd):
    """Run Python with a folder or wheel in front of what is installed here."""
    return subprocess.run(
        [sys.executable, "-P", *words],
        env={**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


# What reads something that lies beside the code: presets, schemas, vocabularies and templates.
READS = """
import sys, mypt
from mypt.cli.main import mypt_group, run
from mypt.plugins.manager import load_plugins
assert mypt.__file__.startswith(sys.argv[1]), mypt.__file__
train = "--input_file input.txt --n_layer 1 --n_embd 8 --n_head 1 --block_size 8 --batch_size 1"
for words in (
    "configs",
    f"train --model_name m {train} --max_iters 1 --eval_iters 1 --device cpu --tokenization gpt2",
    "format validate m",
    "generate m --prompt a --max_new_tokens 2 --device cpu",
    "plugins new mypt-mine --output mine",
):
    assert run(mypt_group, "mypt", words.split()) == 0, words
from mypt.chat.shipped import SHIPPED
assert all(template.source for template in SHIPPED.values())
"""


@pytest.fixture(params=["a zip on the path", "a folder that nobody writes to"])
def place(request, dist, tmp_path):
    wheel = wheel_of(dist, DISTRIBUTION)
    if "zip" in request.param:
        return wheel
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    return tmp_path / "site"


def digest(place):
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_it_runs_from_any_place_and_leaves_that_as_it_was(place, tmp_path):
    before, work = digest(place), tmp_path / "work"
    work.mkdir()
    (work / "input.txt").write_text("the cat sat on the mat.\n" * 40)
    done = run(place, "-c", READS, str(place), cwd=work)
    assert done.returncode == 0, done.stdout + done.stderr
    assert digest(place) == before
    assert (work / "mine" / "pyproject.toml").is_file()


def dependencies(*extras):
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = [about["dependencies"], *(about["optional-dependencies"][name] for name in extras)]
    names = [re.split(r"[^\w.-]", need)[0].lower() for needs in listed for need in needs]
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def imported():
    """Return what mypt imports of others, wherever it does."""
    found = set()
    for name in tracked("mypt"):
        if not name.endswith(".py") or "/templates/" in name:
            continue
        for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"mypt", "mypt_lm"}


def test_what_it_requires_is_what_it_imports_and_an_extra_brings_the_rest():
    optional = dependencies("constraints", "gguf", "litgpt", "plot", "zstd")
    found = imported()
    assert dependencies() - found == set()
    # One is for type checkers, and one is used where it is there anyway.
    known = {"_typeshed", "tokenizers"}
    if sys.version_info < (3, 14):  # that has it, and is asked first
        known.add("compression")
    assert found - optional == known


# A module that may be missing, and a command that needs it.
OPTIONAL = {
    "constraints": ("llguidance", ("generate", "m", "--prompt", "a", "--json_schema", "{}")),
    "gguf": ("gguf", ("export", "m", "--to", "gguf", "--output", "m.gguf")),
    "litgpt": ("yaml", ("export", "m", "--to", "litgpt", "--output", "lit")),
    "plot": ("matplotlib", ("plot", "m", "--output", "m.png")),
    "zstd": ("zstandard", ("train", "--model_name", "z", "--input_file", "a.zst")),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Give a folder with a model that every exporter takes, and a text in the form of zstd."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "input.txt").write_text("the cat sat on the mat.\n" * 40)
    (folder / "a.zst").write_bytes(bytes.fromhex("28b52ffd") + b"not unpacked here")
    sizes = "--n_layer 1 --n_embd 8 --n_head 1 --block_size 8 --batch_size 1 --max_iters 1"
    parts = "--pos_encoding rope --mlp_type gelu_tanh --tokenization char --eval_iters 1"
    words = f"-m mypt train --model_name m --input_file input.txt --device cpu {sizes} {parts}"
    subprocess.run([sys.executable, *words.split()], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("extra", OPTIONAL)
def test_whatever_needs_an_extra_names_it_in_its_error(extra, trained, cli, monkeypatch):
    module, command = OPTIONAL[extra]
    if extra == "zstd" and sys.version_info >= (3, 14):
        pytest.skip("Python reads it itself")
    monkeypatch.chdir(trained)
    for loaded in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)  # by a test before this one
    monkeypatch.setitem(sys.modules, module, None)
    before = set(trained.iterdir())
    code, _, err = cli(*command)
    assert code in {1, 2}  # of `mypt plot` it is the value of a flag that does not do
    assert f"{DISTRIBUTION}[{extra}]" in err
    assert ".mypt-" not in err
    assert set(trained.iterdir()) == before


def test_every_extra_that_is_not_for_developers_is_tried():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert OPTIONAL.keys() == about["optional-dependencies"].keys() - {"all", "dev", "docs"}
