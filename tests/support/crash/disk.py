"""A model of a disk that may lose power: what is surely on it, and what may be.

The calls of a real writer are recorded. Of each moment the disk can then be rebuilt with every
legal part of what was under way: names made, renamed and removed since their folder was last
synced, and bytes of a file written since that file was. A rename is atomic; nothing else is
taken for granted, neither an order nor that a synced file has its name on the disk.
"""

import contextlib
import copy
import math
import os
import shutil
from itertools import product
from pathlib import Path
from unittest import mock

from attrs import define, field

from mypt.format.storage.lock import LOCK_FILE

CALLS = ("open", "write", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir")
ROOT = 0
# What of the bytes written since the last fsync is there; "zeros": only the file's length is.
PARTS = ("none", "half", "zeros", "all")


@define
class Disk:
    """Folders and files by number, as they are and as they surely are on the disk."""

    names: dict = field(factory=dict)  # number of a folder -> name -> number
    data: dict = field(factory=dict)  # number of a file -> bytes
    synced_names: dict = field(factory=dict)
    synced_data: dict = field(factory=dict)
    pending: list = field(factory=list)  # (folder, {name: number, or None for gone}) not synced

    @classmethod
    def of(cls, place):
        """Take what is there for synced."""
        disk = cls()
        disk._add(place, ROOT)
        disk.synced_names, disk.synced_data = copy.deepcopy(disk.names), dict(disk.data)
        return disk

    def _add(self, path, number):
        if path.is_dir():
            self.names[number] = {}
            for child in sorted(path.iterdir()):
                self._add(child, self.names[number].setdefault(child.name, self.new_number()))
        else:
            self.data[number] = path.read_bytes()

    def new_number(self):
        used = {ROOT, *self.data, *(n for names in self.names.values() for n in names.values())}
        return max(used) + 1

    def change(self, folder, names):
        if folder is None:  # outside of the place
            return
        update(self.names[folder], names)
        self.pending.append((folder, names))

    def sync(self, number):
        if number in self.data:
            self.synced_data[number] = self.data[number]
        else:
            self.synced_names[number] = dict(self.names[number])
            self.pending = [change for change in self.pending if change[0] != number]

    def paths(self, names=None, number=ROOT, prefix=""):
        """Give the number of every path; a folder that never reached the disk is empty."""
        found = {}
        for name, child in (names or self.names).get(number, {}).items():
            found[prefix + name] = child
            found |= self.paths(names, child, f"{prefix}{name}/")
        return found

    def states(self, limit, chance):
        """Give every {path: bytes, or None for a folder} that may be found, or `limit` of them."""
        unsure = sorted(n for n, data in self.data.items() if self.synced_data.get(n) != data)
        parts = [[(n, data) for data in self._parts(n)] for n in unsure]
        choices = [[False, True]] * len(self.pending) + parts
        if math.prod(map(len, choices)) <= limit:
            chosen = product(*choices)
        else:
            chosen = ([chance.choice(choice) for choice in choices] for _ in range(limit))
        for picks in chosen:
            names = {folder: dict(held) for folder, held in self.synced_names.items()}
            for (folder, change), is_kept in zip(self.pending, picks, strict=False):
                if is_kept:
                    update(names.setdefault(folder, {}), change)
            data = self.data | dict(picks[len(self.pending) :])
            yield {path: data.get(n) for path, n in self.paths(names).items()}

    def _parts(self, number):
        before, now = self.synced_data.get(number, b""), self.data[number]
        half = now[: (len(before) + len(now)) // 2]
        return {
            "none": before,
            "half": half,
            "zeros": half + bytes(len(now) - len(half)),
            "all": now,
        }.values()


def update(names, change):
    for name, number in change.items():
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


class Recorder:
    """Stands in for the functions of `os`, and keeps a copy of the disk after each call."""

    def __init__(self, place):
        self.place, self.disk, self.moments, self.numbers = place, Disk.of(place), [], {}
        self.real, self._last = {name: getattr(os, name) for name in CALLS}, None

    def find(self, path, dir_fd=None):
        """Give number of the folder, name, and number or None; all None outside of the place."""
        if dir_fd is not None:
            folder = self.numbers[dir_fd]
            if folder is None:
                return None, None, None
            return folder, path, self.disk.names[folder].get(path)
        path = Path(path).absolute()
        if path == self.place:
            return None, None, ROOT
        if not path.is_relative_to(self.place):
            return None, None, None
        paths = {self.place / known: n for known, n in self.disk.paths().items()}
        return {self.place: ROOT, **paths}[path.parent], path.name, paths.get(path)

    def open(self, path, flags, *more, **options):
        descriptor = self.real["open"](path, flags, *more, **options)
        folder, name, number = self.find(path, **options)
        if flags & os.O_CREAT and number is None and folder is not None:
            number = self.disk.new_number()
            self.disk.data[number] = b""
            self.disk.change(folder, {name: number})
        # The text of a lock is for people alone: whatever of it is there makes no difference.
        self.numbers[descriptor] = None if name == LOCK_FILE else number
        return descriptor

    def write(self, descriptor, data):
        written = self.real["write"](descriptor, data)
        if (number := self.numbers.get(descriptor)) is not None:
            self.disk.data[number] += bytes(data[:written])
        return written

    def fsync(self, descriptor):
        self.real["fsync"](descriptor)
        if (number := self.numbers.get(descriptor)) is not None:
            self.disk.sync(number)

    def rename(self, old, new):
        self.real["rename"](old, new)
        folder, name, number = self.find(old)
        target, new_name, _ = self.find(new)
        assert folder == target, "a rename into another folder is not modelled"
        self.disk.change(folder, {name: None, new_name: number})

    replace = rename

    def unlink(self, path, **options):
        self.real["unlink"](path, **options)
        folder, name, _ = self.find(path, **options)
        self.disk.change(folder, {name: None})

    def rmdir(self, path, **options):
        self.real["rmdir"](path, **options)
        folder, name, _ = self.find(path, **options)
        self.disk.change(folder, {name: None})

    def mkdir(self, path, *more):
        self.real["mkdir"](path, *more)
        folder, name, _ = self.find(path)
        if folder is None:
            return
        number = self.disk.new_number()
        self.disk.names[number], self.disk.synced_names[number] = {}, {}
        self.disk.change(folder, {name: number})

    def remembering(self, name):
        def call(*args, **more):
            result = getattr(self, name)(*args, **more)
            if (call := (name, args[0])) == self._last and name == "write":
                self.moments.pop()  # `PARTS` has what comes between two writes to a file
            self.moments.append(copy.deepcopy(self.disk))
            self._last = call
            return result

        return call


@contextlib.contextmanager
def recording(place):
    """Record what is done to the files of a place; gives the disk after each call."""
    recorder = Recorder(place)
    with contextlib.ExitStack() as stack:
        for name in CALLS:
            stack.enter_context(mock.patch.object(os, name, recorder.remembering(name)))
        yield recorder.moments
    assert {str(p.relative_to(place)) for p in place.rglob("*")} == recorder.disk.paths().keys()


def rebuilt(place, state):
    """Put what was found after the loss of power into a fresh folder."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for path, data in state.items():  # a folder comes before what is in it
        (place / path).mkdir() if data is None else (place / path).write_bytes(data)
    return place
