"""Every public door refuses hostile checkpoints in one line, before torch, quickly and leanly.

By default each case goes through one door, in turn; with MYPT_HOSTILE=all through every one.
"""

import ast
import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support.hostile import corpus, doors
from tests.support.hostile.doors import DOORS

EVERYTHING = os.environ.get("MYPT_HOSTILE") == "all"
CASES = corpus.every_case()
REFUSED = [name for name, case in CASES.items() if case.is_refused and not case.is_flaw]
FLAWED = [name for name, case in CASES.items() if case.is_flaw]
HARMLESS = [name for name, case in CASES.items() if not case.is_refused]
WITHOUT_WEIGHTS = ["validate()", "validate", "get_model_info", "inspect", "migrate --dry_run"]
MOST_SECONDS = 30  # of processor time; most take less than one, and shared cores slow all
MOST_LINES = 120
LONGEST = 4000
pytestmark = pytest.mark.xdist_group("hostile")


def doors_for(number, case):
    """Choose doors for a case: all, or one, in turn."""
    if not case.is_refused or case.is_flaw:
        return WITHOUT_WEIGHTS  # others would open it, and so need torch
    if case.is_heavy and not EVERYTHING:
        return [["validate", "load"][number % 2]]
    return list(DOORS) if EVERYTHING else [list(DOORS)[number % len(DOORS)]]


def run_child(folder, cases):
    """Try cases in one process, which the doors of a sound bundle have warmed up."""
    tasks = []
    for number, (name, case) in enumerate(cases.items()):
        path = case.write(folder / f"{number:03}")
        tasks.append({"name": name, "path": str(path), "doors": doors_for(number, case)})
    sound = corpus.Case(corpus.GOOD).write(folder / "sound")
    tasks.append({"name": "sound", "path": str(sound), "doors": WITHOUT_WEIGHTS})
    (folder / "tasks.json").write_text(json.dumps(tasks), "utf-8")
    command = [sys.executable, doors.__file__]
    done = subprocess.run(
        [*command, str(folder / "tasks.json"), str(sound)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    subprocess.run(["rm", "-rf", str(folder)], check=True)  # shutil's gives up on deep folders
    return {name: (tasks[number]["path"], said[name]) for number, name in enumerate(said)}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What the doors said of each case: its path, and what each said."""
    folder = tmp_path_factory.mktemp("hostile")
    light = {name: case for name, case in CASES.items() if not case.is_heavy}
    heavy = {name: case for name, case in CASES.items() if case.is_heavy}
    heavy_outcome = run_child(folder / "heavy", heavy)
    return heavy_outcome | run_child(folder / "light", light)


def assert_harmless(said, path):
    """It did nothing, ended soon, and spoke plainly."""
    for door, answer in said.items():
        assert "crash" not in answer, (door, answer["crash"])
        assert answer["done"] == [], door
        assert not answer["torch"], door
        assert answer["seconds"] < MOST_SECONDS, door
        lines = [*(answer.get("refused") or "").splitlines(), *answer["err"].splitlines()]
        assert len(lines) <= MOST_LINES, door
        for line in lines:
            assert line.isprintable()
            assert len(line) < LONGEST
            assert not line.startswith("Traceback")


@pytest.mark.parametrize("name", REFUSED)
def test_no_door_opens_to_a_hostile_checkpoint(name, outcome):
    path, said = outcome[name]
    assert_harmless(said, path)
    for door, answer in said.items():
        if door.startswith("migrate") and answer["code"] == 0:  # it is no case for migration
            assert "there already" in answer["out"] or "0 failed" in answer["out"]
            continue
        if "code" in answer:
            assert answer["code"] == 1, door
        spoken = answer.get("refused") or answer["err"] or answer["out"]
        assert path.rpartition("/")[0] in spoken.splitlines()[0] or "--json" in door


@pytest.mark.parametrize("name", FLAWED)
def test_what_only_training_needs_is_refused_to_training_alone(name, outcome):
    path, said = outcome[name]
    assert_harmless(said, path)
    assert said["validate"]["code"] == 1
    assert said["validate()"]["refused"]
    assert said["get_model_info"]["refused"] is None
    assert said["inspect"]["code"] == 0
    assert said["inspect"]["err"].startswith("warning: ")


@pytest.mark.parametrize("name", [*HARMLESS, "sound"])
def test_what_is_odd_and_no_harm_does_none(name, outcome):
    path, said = outcome[name]
    assert_harmless(said, path)
    assert said["validate"]["code"] == 0


def test_there_are_many_of_them():
    assert len(REFUSED) >= 60
    assert len(FLAWED) >= 50
    assert len(CASES) >= 400


# What a link, a lock and a number may do to a save.


@pytest.fixture
def whole(tmp_path):
    return corpus.Case(corpus.GOOD).write(tmp_path / "bundle")


def test_a_link_to_a_regular_file_is_read_as_the_file(whole, tmp_path):
    from mypt.format.bundle.read import read_bundle

    shutil.move(whole / "model.pt", tmp_path / "blob")
    (whole / "model.pt").symlink_to(tmp_path / "blob")  # as caches of downloads are made
    assert read_bundle(whole).config.n_layer == 1


def test_a_save_never_writes_through_a_link(whole, tmp_path):
    from mypt.format.storage.commit import open_for_writing

    victim = tmp_path / "victim"
    for name in ("model.pt", "config.json", "model.pt.mypt-000002", "optimizer.pt.mypt-000009"):
        victim.write_bytes(b"precious")
        (whole / name).unlink(missing_ok=True)
        (whole / name).symlink_to(victim)
    with open_for_writing(whole) as writer:
        writer.commit({"model.pt": b"new", "config.json": b"{}"}, written_by="the tests")
    assert victim.read_bytes() == b"precious"
    assert (whole / "model.pt").read_bytes() == b"new"
    assert not (whole / "model.pt").is_symlink()


def test_a_lock_that_is_a_link_is_not_followed(whole, tmp_path):
    from mypt.format.errors import SaveError
    from mypt.format.storage.commit import open_for_writing

    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (whole / ".mypt.lock").symlink_to(victim)
    with pytest.raises(SaveError), open_for_writing(whole):
        pass
    assert victim.read_bytes() == b"precious"


def test_no_save_follows_the_highest_generation(whole):
    from mypt.format.errors import FormatError
    from mypt.format.storage.commit import open_for_writing

    document = json.loads((whole / "manifest.json").read_text("utf-8"))
    (whole / "manifest.json").write_text(json.dumps(document | {"generation": 2**53}), "utf-8")
    before = (whole / "manifest.json").read_bytes()
    with open_for_writing(whole) as writer, pytest.raises(FormatError, match="the highest"):
        writer.commit({"model.pt": b"new"}, written_by="the tests")
    assert (whole / "manifest.json").read_bytes() == before


# What the source may not say.

NEVER = {
    *((module, name) for module in ("pickle", "dill", "joblib", "marshal") for name in ("load",)),
    *(("pickle", name) for name in ("loads", "Unpickler")),
    *((None, name) for name in ("eval", "exec", "__import__")),
    *(("torch", name) for name in ("package", "jit")),
}


def calls(root):
    for path in sorted((root / "mypt").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                match node.func:
                    case ast.Attribute(value=ast.Name(id=module), attr=name):
                        yield path, node, (module, name)
                    case ast.Name(id=name):
                        yield path, node, (None, name)


def test_torch_loads_nothing(root):
    """Tensors are mapped by our own description of the file."""
    assert [path for path, _, name in calls(root) if name == ("torch", "load")] == []


def test_nothing_in_mypt_unpickles_or_evaluates(root):
    bad = [(path.name, name) for path, _, name in calls(root) if name in NEVER]
    assert bad == []
    for path, node, name in calls(root):
        if name in (("np", "load"), ("numpy", "load")):
            assert not any(keyword.arg == "allow_pickle" for keyword in node.keywords), path
