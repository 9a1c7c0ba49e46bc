"""The world of the soak: a folder of models, and what must hold of it whatever happened."""

import json
import os
import random
import time
from collections import Counter
from pathlib import Path

from attrs import define, field

from mypt.format.bundle.copy_name import parse_copy_name
from mypt.format.bundle.read import read_bundle
from mypt.format.storage.files import HIDDEN_FOLDER, MANIFEST
from mypt.format.storage.generations import find_tagged_files
from tests.support.crash.scene import tree, whole_bundle
from tests.support.resume.setups import prepare
from tests.support.soak.recipes import Recipe, run_reference
from tests.support.soak.strikes import Strike, struck

MOST_MODELS = 6
MOST_BYTES = 1 << 30
MOST_MEMORY_MB = 150  # that this process may grow by: it keeps references, and counts


class LostError(AssertionError):
    """Something does not hold that must."""


def hold(told, *what):
    """Raise `LostError` unless this holds."""
    if not told:
        raise LostError(" ".join(map(str, what)))


@define(eq=False)
class Model:
    """What is known of a model.

    Attributes:
        name: Its folder in `checkpoints`.
        recipe: What it is trained with.
        step: That of its newest bundle that was seen; 0 before the first.
        is_plain: Whether it was only ever trained, so that also its log is known.
        notes: Files in its folder that are not mypt's, with their bytes.
        is_done: Whether it was trained to the end.
        lost_power: Whether power was to be cut while it was trained.
    """

    name: str
    recipe: Recipe
    step: int = 0
    is_plain: bool = True
    is_done: bool = False
    lost_power: bool = False
    notes: dict = field(factory=dict)


def _children():
    """Return the processes that this one has begun."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


class World:
    """A folder of models, a random generator, and an account of all that was done.

    Attributes:
        place: The folder, in which all commands run.
        checkpoints: That of the models.
        chance: What decides; it begins with the seed of the soak.
        models: By name.
        counts: How often what was done and met.
    """

    def __init__(self, place, seed):
        """Begin with an empty folder."""
        self.place = prepare(place.absolute())
        self.checkpoints = self.place / "checkpoints"
        self.checkpoints.mkdir()
        (self.place / "exports").mkdir()
        self.chance = random.Random(seed)
        self.models, self.counts, self.references = {}, Counter(), {}
        self.beside = {}  # files and folders in `checkpoints` that nothing may touch
        self._journal = place.parent / "journal.jsonl"
        self._made = 0
        self._began, self._at_begin = time.monotonic(), None
        self._others = _children()  # of tests before this one
        self.tell(seed=seed)

    def tell(self, **event):
        """Write a line to the journal."""
        event = {"s": round(time.monotonic() - self._began, 2), **event}
        with self._journal.open("a") as stream:
            stream.write(json.dumps(event, default=str) + "\n")

    def new_name(self, kind="m"):
        """Give a name that no model ever had."""
        self._made += 1
        return f"{kind}{self._made:06d}x"

    def reference(self, recipe):
        """Give what a recipe leaves when nobody interrupts it."""
        if recipe not in self.references:
            self.references[recipe] = run_reference(recipe, self.place / "reference")
            self.counts["unbroken references"] += 1
        return self.references[recipe]

    def draw_strike(self, most_calls, most_s=2.0, share=0.7):
        """Draw what befalls the next process, which is nothing for the rest of them."""
        if self.chance.random() > share:
            return Strike()
        return Strike.draw(self.chance, most_calls, most_s)

    def run(self, *words, strike=None):
        """Run `mypt`, perhaps struck; give exit code and what it said, without a traceback."""
        strike = strike or Strike()
        code, said = struck(words, self.place, strike)
        self.tell(run=words, strike=str(strike), code=code, said=said[-400:])
        self.counts["commands"] += 1
        if strike.kind != "none":
            happened = "met" if code != 0 else "came too late"
            self.counts[f"strike {happened}: {strike.kind}"] += 1
        hold("Traceback" not in said, words, "has a traceback:", said)
        hold(code in (0, 1) or -code in strike.signals, words, "exits with", code, said)
        return code, said

    def clear_run(self, *words, code=0):
        """Run `mypt` unstruck, which must end with this code; give what it said."""
        got, said = self.run(*words)
        hold(got == code, words, "exits with", got, "not", code, ":", said)
        return said

    def json(self, *words, code=0):
        """Run a command that prints JSON; give that."""
        return json.loads(self.clear_run(*words, code=code))

    # What must hold.

    def look_at(self, model):
        """Check all bundles of a model; note how far it is."""
        reference, folder = self.reference(model.recipe), self.checkpoints / model.name
        step = 0
        if (folder / MANIFEST).exists():
            whole_bundle(folder)
            bundle = read_bundle(folder)
            step = bundle.training_state.step
            digests = _digests(bundle)
            hold(reference.steps[step] == digests, model, "at step", step, "is other than unbroken")
            self.counts["bundles compared with the unbroken run"] += 1
        hold(step >= model.step, model, "went back to step", step)
        model.step = step
        for path in self.copies_of(model):
            self._look_at_copy(path, reference)
        for name, data in model.notes.items():
            hold((folder / name).read_bytes() == data, folder / name, "was touched")

    def copies_of(self, model):
        """Give the folders of a model's copies."""
        paths = sorted(self.checkpoints.glob(f"{model.name}_*"))
        return [path for path in paths if parse_copy_name(path.name)]

    def _look_at_copy(self, path, reference):
        if not (path / MANIFEST).exists():
            hold(not any(path.glob("*.pt")), path, "is half a copy")
            return
        whole_bundle(path)
        bundle = read_bundle(path)
        kind = parse_copy_name(path.name).kind
        step = bundle.training_state.step
        digests = _digests(bundle)
        hold(
            reference.copies.get((kind, step)) == digests, path, "is other than the unbroken run's"
        )
        self.counts["copies compared with the unbroken run"] += 1

    def look_around(self):
        """Check what is nobody's model: files beside, leftovers, processes, memory, size."""
        for name, held in self.beside.items():
            path = self.checkpoints / name
            found = tree(path) if path.is_dir() else path.read_bytes()
            hold(found == held, path, "was touched")
        used = sum(p.stat().st_size for p in self.place.rglob("*") if p.is_file())
        hold(used < MOST_BYTES, "the folder has grown to", used, "bytes")
        left = _children() - self._others
        hold(not left, "processes are left:", left)
        opened, memory = len(list(Path("/proc/self/fd").iterdir())), memory_mb()
        if self._at_begin is None or self.counts["acts"] < 60:
            self._at_begin = opened, memory
        hold(opened <= self._at_begin[0] + 3, "files are left open:", opened, self._at_begin)
        hold(memory < self._at_begin[1] + MOST_MEMORY_MB, memory, "MB, from", self._at_begin[1])

    def leftovers(self):
        """Name what interrupted processes have left in `checkpoints`."""
        tagged = [
            path
            for folder in self.checkpoints.iterdir()
            if folder.is_dir()
            for path, *_ in find_tagged_files(folder)
        ]
        return tagged + [p for p in self.checkpoints.iterdir() if HIDDEN_FOLDER.fullmatch(p.name)]

    def summary(self):
        """Give what was done so far, in a line."""
        minutes = (time.monotonic() - self._began) / 60
        return f"{minutes:.1f} min; " + "; ".join(
            f"{name} {number}" for name, number in sorted(self.counts.items())
        )


def _digests(bundle):
    return {
        name: record.sha256
        for name, record in bundle.manifest.files.items()
        if name in ("model.pt", "optimizer.pt")
    }


def memory_mb():
    """Give the memory that this process holds, without what it shares with files."""
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 2**20
