"""What is interrupted, and what may be found then."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from mypt.format.bundle.read import read_bundle
from mypt.format.errors import MyptError

# Every point instead of a sample of them: `make crash`.
EVERY = os.environ.get("MYPT_CRASH") == "all"


@frozen
class Scene:
    """Something that writes, in a folder of its own, which it may leave for no other.

    Attributes:
        name: For test ids.
        prepare: Puts into the empty folder what is there before.
        act: What is interrupted.
        find: Reads what is there as a user would; says which stage it is, or raises.
        finish: Does what is done next, and asserts that nothing is lost and nothing left over.
        stages: What `find` may say, in the order in which the act passes them.
        tolerated: What else it may say after an act that an error kept from tidying up.
    """

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path], object]
    find: Callable[[Path], str]
    finish: Callable[[Path], None]
    stages: tuple[str, ...] = ("old", "new")
    tolerated: tuple[str, ...] = ()

    def check(self, place):
        """Find one of the stages and finish; give the stage."""
        stage = self.find(place)
        assert stage in (*self.stages, *self.tolerated)
        self.finish(place)
        return stage

    def outcome(self, place):
        """Act; give "done" or why it was refused."""
        try:
            self.act(place)
        except (MyptError, OSError) as error:
            return f"refused: {error}"
        return "done"

    def __str__(self):
        return self.name


def whole_bundle(folder):
    """Give the bytes of a bundle's files by stable name; all of them are what its manifest says."""
    bundle = read_bundle(folder)
    held = {name: path.read_bytes() for name, path in bundle.paths.items()}
    records = bundle.manifest.files if bundle.manifest else {}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in held.items()}
    assert bundle.manifest is None or digests == {n: r.sha256 for n, r in records.items()}
    return held


def tree(place):
    """Give the bytes of every file below a folder, and None for every folder."""
    paths = sorted(place.rglob("*"))
    return {str(p.relative_to(place)): None if p.is_dir() else p.read_bytes() for p in paths}


def sample(points, number):
    """Take every so many of them, the first and the last included, or all with MYPT_CRASH=all."""
    points = list(points)
    if EVERY or len(points) <= number:
        return points
    return [points[index * (len(points) - 1) // (number - 1)] for index in range(number)]
