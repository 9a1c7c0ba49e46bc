"""Die, or fail, at every single call that a save makes to the system: nothing is ever lost.

The calls are counted in the process that makes them, by wrapping the functions of `os` through
which every read and write of `mypt.format.commit` and `mypt.format.lock` goes.
"""

import errno
import io
import os
import shutil
import signal
import warnings

import pytest
import torch

from mypt.format.bundle import bundle_files, read_bundle
from mypt.format.commit import open_for_writing
from mypt.format.documents import GPTConfig, TokenizerState, TrainingState
from mypt.format.errors import SaveError
from mypt.format.generations import tagged
from mypt.format.layout import BUILT_IN, expected_tensors

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the points are those of POSIX")

CALLS = ("open", "write", "fsync", "close", "replace", "rename", "unlink", "ftruncate", "mkdir")
CONFIG = GPTConfig(block_size=4, vocab_size=3, n_embd=2, n_head=1, n_layer=1)


def generation(value, *, optimizer):
    """The files of a bundle whose every tensor is filled with one value."""
    weights = {n: torch.full(s, value) for n, s in expected_tensors(CONFIG, BUILT_IN).items()}
    state = TrainingState(step=int(value))
    moments = {"exp_avg": torch.full((2,), value)}
    adamw = {"state": {0: moments}, "param_groups": [{"params": [0]}]} if optimizer else None
    tokenizer = TokenizerState(token_kind="char", chars=("a", "b", "c"))
    return bundle_files(CONFIG, tokenizer, state, weights, adamw)


def frozen(files):
    """The same as bytes, so that a child process need not run torch."""
    frozen = {}
    for name, content in files.items():
        stream = io.BytesIO()
        stream.write(content) if isinstance(content, bytes) else content(stream)
        frozen[name] = stream.getvalue()
    return frozen


OLD = frozen(generation(1.0, optimizer=True))
NEW = frozen(generation(2.0, optimizer=False))
LAST = frozen(generation(3.0, optimizer=True))


def save(folder, files):
    with open_for_writing(folder) as writer:
        writer.commit(files, written_by="the tests")


def bundle_of_old(folder):
    save(folder, OLD)


def folder_of_version_1(folder):
    folder.mkdir()
    for name, data in OLD.items():
        (folder / name).write_bytes(data)


def nothing(folder):
    """Where no model was saved before."""


def interrupted(folder):
    """Die between the commit and the renames, after an older save had left its files too."""
    save(folder, LAST)
    (folder / tagged("model.pt", 7)).write_bytes(b"left over")
    save(folder, OLD)
    (folder / "model.pt").rename(folder / tagged("model.pt", 2))
    (folder / "model.pt").write_bytes(LAST["model.pt"])


SCENES = [bundle_of_old, folder_of_version_1, nothing, interrupted]


def count_calls(before_call):
    """Wrap the functions of `os`; `before_call(name, k, args)` hears of the k-th call."""
    made = 0

    def wrap(name, call):
        def wrapped(*args, **more):
            nonlocal made
            made += 1
            before_call(name, made, args)
            return call(*args, **more)

        return wrapped

    return {name: wrap(name, getattr(os, name)) for name in CALLS}


def calls_of_a_save(folder, monkeypatch):
    counted = []
    with monkeypatch.context() as patch:
        for name, call in count_calls(lambda name, *_: counted.append(name)).items():
            patch.setattr(os, name, call)
        save(folder, NEW)
    assert {"open", "write", "fsync", "close", "replace", "unlink"} <= set(counted)
    return counted


def die_at(point, folder, *, halfway):
    """Save in a child process that is killed before its k-th call, or halfway through a write."""

    def perhaps_die(name, made, args):
        if made == point:
            if halfway:
                descriptor, data = args
                real_write(descriptor, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    real_write = os.write
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child runs no threads
        child = os.fork()
    if child == 0:
        try:
            for name, call in count_calls(perhaps_die).items():
                setattr(os, name, call)
            save(folder, NEW)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def whole_generation(folder):
    """Read the bundle; say which generation it is after comparing every byte."""
    bundle = read_bundle(folder)
    held = {name: path.read_bytes() for name, path in bundle.paths.items()}
    for name, files in (("old", OLD), ("new", NEW)):
        if held == files:
            assert bundle.training_state.step == (1 if name == "old" else 2)
            return name
    raise AssertionError(sorted(held))


def check_afterwards(folder, scene):
    """A reader finds one whole generation, and the next save leaves nothing lying about."""
    if scene is nothing and not (folder / "manifest.json").exists():
        found = None
        assert not any((folder / name).exists() for name in NEW)
    else:
        found = whole_generation(folder)
        assert found is not None
    save(folder, LAST)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*LAST, "manifest.json"])
    assert {name: (folder / name).read_bytes() for name in LAST} == LAST
    return found


@pytest.fixture
def fresh(tmp_path):
    """Give a new copy of a scene at each call."""

    def make(scene, number):
        start = tmp_path / f"{scene.__name__}-start" / "dante"
        if not start.parent.exists():
            start.parent.mkdir()
            scene(start)
        folder = tmp_path / f"{scene.__name__}-{number}" / "dante"
        folder.parent.mkdir()
        if start.exists():
            shutil.copytree(start, folder)
        return folder

    return make


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_save_killed_at_any_call_leaves_one_whole_generation(
    scene, fresh, monkeypatch, record_property
):
    calls = calls_of_a_save(fresh(scene, "count"), monkeypatch)
    points = [(point, False) for point in range(1, len(calls) + 1)]
    points += [(point, True) for point, name in enumerate(calls, 1) if name == "write"]
    found = []
    for point, halfway in sorted(points):
        folder = fresh(scene, f"{point}-{halfway}")
        assert die_at(point, folder, halfway=halfway)
        found.append(check_afterwards(folder, scene))
    before = None if scene is nothing else "old"
    assert set(found) == {before, "new"}
    assert found == sorted(found, key=lambda name: name == "new")  # there is one point of no return
    assert not die_at(len(calls) + 1, fresh(scene, "whole"), halfway=False)
    record_property("points", len(points))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize(
    ("code", "lasting"),
    [(errno.EIO, False), (errno.ENOSPC, False), (errno.EACCES, False), (errno.EIO, True)],
    ids=["EIO", "ENOSPC", "EACCES", "EIO from then on"],
)
def test_an_error_at_any_call_leaves_one_whole_generation(scene, code, lasting, fresh, monkeypatch):
    calls = calls_of_a_save(fresh(scene, "count"), monkeypatch)
    for point in range(1, len(calls) + 1):
        folder = fresh(scene, point)
        before = tags(folder)
        said = said_of_a_failure(folder, point, code, monkeypatch, lasting=lasting)
        if said is None:
            assert whole_generation(folder) == "new"
        else:
            assert os.strerror(code) in said
        if folder.is_dir():
            assert said is None or lasting or tags(folder) <= before
            check_afterwards(folder, scene)


def said_of_a_failure(folder, point, code, monkeypatch, *, lasting):
    """Save with an error at the k-th call; give the message, or None if it was saved anyway."""
    real_close = os.close

    def fail(name, made, args):
        if made == point or (lasting and made > point):
            if name == "close":
                real_close(*args)  # a descriptor is gone also where closing it fails
            raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        for name, call in count_calls(fail).items():
            patch.setattr(os, name, call)
        try:
            save(folder, NEW)
        except SaveError as error:
            return str(error)
    return None


def tags(folder):
    return {path.name for path in folder.glob("*.mypt-*")}
