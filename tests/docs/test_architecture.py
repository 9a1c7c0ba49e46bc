"""The page on the architecture: its picture is current, its walks are what the code does."""

import ast
import re
import runpy
import sys
import threading
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

import mypt
from mypt.cli.main import mypt_group, run

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
PATH = re.compile(r"`((?:mypt|schemas|docs|plugins|tests)/[^`:*]*)(?:: ([\w.]+))?`")
WRITTEN_BY = "run: python docs/write_architecture.py"
TRAIN = (
    "train --model_name cat --input_file input.txt --tokenization char --n_layer 1 --n_head 2 "
    "--n_embd 16 --block_size 8 --batch_size 2 --max_iters 2 --eval_iters 1 --device cpu"
)


@pytest.fixture(scope="module")
def writer():
    return runpy.run_path(str(ROOT / "docs" / "write_architecture.py"))


def section(title):
    """Return the text below a heading, up to the next one."""
    return re.split(r"^## ", TEXT.split(f"## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def steps(title):
    """Return the functions that a walk's numbered steps name, in order: path and name."""
    numbered = re.findall(r"^\d+\. .*?(?=^\d+\. |^\n|\Z)", section(title), re.MULTILINE | re.DOTALL)
    assert len(numbered) >= 9
    return [found for step in numbered for found in PATH.findall(step) if found[1]]


@cache
def definitions(path):
    """Return the names that a module defines, those in classes with the class's name."""

    def named(body, prefix=""):
        for node in body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                yield prefix + node.name
                if isinstance(node, ast.ClassDef):
                    yield from named(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (prefix + target.id for target in targets if hasattr(target, "id"))
            elif isinstance(node, ast.If):  # what differs from system to system
                yield from named([*node.body, *node.orelse], prefix)

    return set(named(ast.parse((ROOT / path).read_text(encoding="utf-8")).body))


@contextmanager
def recorded_calls(wanted):
    """Record the calls of the wanted functions in all threads that begin meanwhile, in order."""
    names = {(str(ROOT / path), name): (path, name) for path, name in wanted}
    calls = []

    def record(frame, event, _):
        code = frame.f_code
        if event == "call" and (code.co_filename, code.co_qualname) in names:
            calls.append(names[code.co_filename, code.co_qualname])

    before = sys.getprofile()
    threading.setprofile(record)
    sys.setprofile(record)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        threading.setprofile(None)


def assert_in_order(walk, calls):
    """Require that the functions of a walk were called in its order, others in between or not."""
    rest = iter(calls)
    for number, step in enumerate(walk):
        before = walk[number - 1] if number else "the beginning"
        assert step in rest, f"{step} is not called after {before}"


@pytest.fixture
def folder(in_tmp, text):
    (in_tmp / "input.txt").write_text(text[:4000], encoding="utf-8")
    return in_tmp


def train():
    with warnings.catch_warnings():
        assert run(mypt_group, "mypt", TRAIN.split()) == 0


def test_the_picture_is_current(writer):
    assert writer["PICTURE"].read_text(encoding="utf-8") == writer["picture"](), WRITTEN_BY


def test_the_table_of_rooms_is_current(writer):
    assert writer["page"]() == TEXT, WRITTEN_BY


def test_each_room_is_drawn_once(writer):
    drawn = re.findall(r'class="title"[^>]*>([\w.]+/)<', writer["picture"]())
    packages = (ROOT / "mypt").glob("*/**/__init__.py")
    rooms = [path.parent.name + "/" for path in packages if "templates" not in path.parts]
    assert sorted(drawn) == sorted(rooms)


def test_every_path_and_name_on_the_page_exists():
    found = PATH.findall(TEXT)
    assert len(found) > 100
    for path, name in found:
        assert (ROOT / path).exists(), path
        assert not name or name in definitions(path), f"{path}: {name}"


def test_twenty_tasks_have_a_place():
    rows = [line for line in section("I want to change ...").splitlines() if line.startswith("| ")]
    assert len(rows) - 1 >= 20
    assert all(PATH.search(row) for row in rows[1:])


@pytest.mark.parametrize(
    ("title", "begin"),
    [("One training step", "Trainer.update"), ("One save", "Trainer._evaluate_and_save")],
)
def test_a_walk_through_training_is_what_happens(folder, title, begin):
    walk = steps(title)
    with recorded_calls(walk) as calls:
        train()
    again = [number for number, (_, name) in enumerate(calls) if name == begin][1]
    assert_in_order(walk, calls[:again])


def test_the_walks_through_loading_and_generating_are_what_happens(folder, monkeypatch):
    train()
    monkeypatch.delitem(vars(mypt), "load", raising=False)  # as in a new process
    walk = steps("One load")
    with recorded_calls(walk) as calls:
        model = mypt.load("cat")
    assert_in_order(walk, calls)

    walk = steps("One generated token")
    with recorded_calls(walk) as calls:
        model.generate("line", max_new_tokens=4, seed=1)
    assert_in_order(walk, calls)
