"""What the soak trains, and what each of it is at every step when nobody interrupts it."""

import json
import shutil

from attrs import field, frozen

from mypt.engine.checkpoints.checkpointer import Checkpointer
from mypt.format.bundle.copy_name import parse_copy_name
from mypt.format.storage.files import MANIFEST, TRAINING_STATE
from tests.support.processes.command import Command
from tests.support.resume.remains import remains
from tests.support.resume.setups import SETUPS, arguments, prepare

REFERENCE = "dante"
LAST = 30
LENGTHS = {"max_iters": LAST, "eval_interval": 6, "eval_iters": 1, "grad_accum_steps": 2}
LENGTHS |= {"snapshot_interval": 8}
MODERN = {"pos_encoding": "rope", "norm_type": "rmsnorm", "mlp_type": "swiglu", "bias": False}
SHAPES = {
    "gpt": {},
    "gpt2": {"mlp_type": "gelu_tanh", "bias": True, "head_bias": False},
    "modern": MODERN,
    "llama": {**MODERN, "norm_eps": 1e-5, "head_bias": False},  # that of llama2.c
}


@frozen
class Recipe:
    """Settings of a run: they decide every bit of it."""

    setup: str
    shape: str

    @classmethod
    def draw(cls, chance):
        """Draw one of some dozens."""
        return cls(chance.choice(sorted(SETUPS)), chance.choice(sorted(SHAPES)))

    def arguments(self, name, **fields):
        """Give the arguments of `mypt train`."""
        return arguments(self.setup, model_name=name, **LENGTHS, **SHAPES[self.shape], **fields)


def digests_of(folder):
    """Give the digests of the tensors of a bundle, as its manifest has them."""
    files = json.loads((folder / MANIFEST).read_text())["files"]
    return {name: files[name]["sha256"] for name in ("model.pt", "optimizer.pt") if name in files}


@frozen
class Reference:
    """A run that nobody interrupts.

    Attributes:
        steps: Digests of weights and optimizer after each step.
        copies: The same of each copy that there ever is, by its kind and step.
        left: What is there in the end, as `remains` gives it.
    """

    steps: dict = field(factory=dict)
    copies: dict = field(factory=dict)
    left: dict = field(factory=dict)


def run_reference(recipe, place):
    """Run a recipe in a new folder, once saving at each step and once as it is; remove it."""
    reference = Reference()
    told = prepare(place / "each") / "told"
    command = Command(
        "train",
        *recipe.arguments(REFERENCE, save_interval=1),
        cwd=place / "each",
        arm=lambda: _tell_saves(told),
    )
    said = command.wait()
    assert command.code == 0, said
    for line in told.read_text().splitlines():
        name, step, digests = json.loads(line)
        copy = parse_copy_name(name)
        if copy is None:
            reference.steps[step] = digests
        else:
            reference.copies[copy.kind, step] = digests
    command = Command("train", *recipe.arguments(REFERENCE), cwd=prepare(place / "whole"))
    said = command.wait()
    assert command.code == 0, said
    reference.left.update(remains(place / "whole", REFERENCE))
    shutil.rmtree(place)
    return reference


def _tell_saves(told):
    """Write down what is there after each save; for a process that ends with the run."""
    write_own = Checkpointer.write_own
    checkpoints = told.parent / "checkpoints"

    def wrapped(self, *args, **more):
        write_own(self, *args, **more)
        lines = []
        for folder in sorted(checkpoints.glob(f"{REFERENCE}*")):
            step = json.loads((folder / TRAINING_STATE).read_text())["step"]
            lines.append(json.dumps([folder.name, step, digests_of(folder)]) + "\n")
        with told.open("a") as stream:
            stream.write("".join(lines))

    Checkpointer.write_own = wrapped
