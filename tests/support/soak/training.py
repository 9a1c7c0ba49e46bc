"""Acts of the soak that train: new runs, resumes, runs that are watched, and runs done again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

from mypt.format.bundle.read import read_bundle
from mypt.format.storage.lock import LOCK_FILE
from tests.support.paths import ROOT
from tests.support.processes.command import Command
from tests.support.resume.remains import bundle, differences, log
from tests.support.soak.recipes import LAST, REFERENCE, Recipe
from tests.support.soak.world import MOST_MODELS, Model, hold

CALLS_OF_A_RUN = 1200

# What is told a second writer: the first is at work, saved while this one read, or has ended since.
_REFUSALS = (
    "is being written by",
    "was saved anew since it was opened",
    "was saved by another run since this one opened it",
)


def unfinished(world):
    return [model for model in world.models.values() if not model.is_done]


def begin(world):
    """Begin a model, perhaps interrupted."""
    while len(world.models) >= MOST_MODELS:
        retire(world, world.chance.choice(list(world.models.values())))
    model = Model(world.new_name(), Recipe.draw(world.chance))
    world.models[model.name] = model
    world.counts["models"] += 1
    go_on(world, model)


def retire(world, model):
    """Remove a model and its copies, as its user would."""
    for path in [*world.copies_of(model), world.checkpoints / model.name]:
        shutil.rmtree(path, ignore_errors=True)
    for path in world.checkpoints.glob(f".{model.name}*"):
        shutil.rmtree(path)
    for path in (world.place / "logs" / "train").glob(f"{model.name}_*"):
        path.unlink()
    del world.models[model.name]


def resume(world):
    """Go on with some model, perhaps interrupted again."""
    if not unfinished(world):
        return begin(world)
    return go_on(world, world.chance.choice(unfinished(world)))


def go_on(world, model, *more):
    """Train a model once, look at what is there, and at all that is left once it is done."""
    chance = world.chance
    words = ["train", *model.recipe.arguments(model.name), *more]
    if model.step and chance.random() < 0.3:
        words = ["train", "--model_name", model.name, *more]  # all else is remembered
    strike = world.draw_strike(CALLS_OF_A_RUN, share=0.85)
    before, model.lost_power = model.step, model.lost_power or strike.kind == "power cut"
    code, said = world.run(*words, strike=strike)
    world.look_at(model)
    hold(code or "Training finished!" in said or "nothing to do" in said, words, said)
    if code == 1:
        hold(strike.kind != "none", words, "failed:", said)
        stopped = "To resume: mypt train --model_name" in said
        full = strike.kind == "full disk" and "No space left on device" in said
        hold(stopped or full or model.step == before, words, said)
    world.counts["runs resumed" if before else "runs begun"] += 1
    if code == 0:
        died = "nothing to do" in said
        if died or model.lost_power:
            bury(world, model)
        finish(world, model, died=died)


def bury(world, model):
    """Take away what a process has left that died between its last save and its end.

    Those are its locks, which the next writer would take over. A loss of power may bring back that
    of a copy, which nobody writes again.
    """
    for folder in (world.checkpoints / model.name, *world.copies_of(model)):
        if (folder / LOCK_FILE).exists():
            (folder / LOCK_FILE).unlink()
            world.counts["locks of the dead"] += 1


def finish(world, model, *, died=False):
    """Check that a finished run left what the unbroken one did, and nothing else.

    One that died after its last save may lack the last line of its log.
    """
    hold(model.step == LAST, model, "is at", model.step)
    model.is_done = True
    world.counts["runs finished"] += 1
    hold(not [p for p in world.leftovers() if model.name in str(p)], model, world.leftovers())
    if not model.is_plain:
        return
    left = {"log": log(world.place / "logs" / "train" / f"{model.name}_eval.jsonl")}
    left[model.name] = bundle(world.checkpoints / model.name, model.notes)
    left |= {path.name: bundle(path) for path in world.copies_of(model)}
    left, expected = _renamed(left, model.name), world.reference(model.recipe).left
    if died and left["log"][-1]["event"] != "training_complete":
        left["log"].append(expected["log"][-1])
        world.counts["runs that died after their last save"] += 1
    told = differences(left, expected)
    hold(not told, model, "left other than the unbroken run:", told)
    world.counts["finished runs equal in all files and events"] += 1


def _renamed(left, name):
    return json.loads(json.dumps(left).replace(name, REFERENCE))


def watch(world):
    """Read a model again and again while it is trained; a second process may not write to it."""
    if not unfinished(world):
        return begin(world)
    model = world.chance.choice(unfinished(world))
    reference, folder = world.reference(model.recipe), world.checkpoints / model.name
    command = Command("train", *model.recipe.arguments(model.name), cwd=world.place)
    seen, second = model.step, None
    try:
        for _ in range(world.chance.randint(3, 30)):
            time.sleep(0.03)
            if not (folder / "manifest.json").exists():
                continue
            read = read_bundle(folder)
            step = read.training_state.step
            hold(step >= seen, model, "went back while it was trained, to", step)
            digests = {n: read.manifest.files[n].sha256 for n in reference.steps[step]}
            hold(digests == reference.steps[step], model, "is other at", step)
            world.counts["reads of a model in training"] += 1
            seen = step
        if seen and seen < LAST - 12:
            second = world.run("train", "--model_name", model.name)
    finally:
        said = command.wait()
    hold(command.code == 0, model, "was disturbed:", said)
    if second and second[0] == 1:
        hold(any(refusal in second[1] for refusal in _REFUSALS), second)
        world.counts["second writers refused"] += 1
    world.counts["runs watched"] += 1
    world.look_at(model)
    finish(world, model)
    return None


def fresh(world):
    """Train in a new Python, which is interrupted at some moment from outside."""
    if not unfinished(world):
        return begin(world)
    model = world.chance.choice(unfinished(world))
    words = [sys.executable, "-m", "mypt", "train", *model.recipe.arguments(model.name)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    number = world.chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(words, cwd=world.place, env=env, **pipes) as process:
        try:
            said, _ = process.communicate(timeout=world.chance.random() * 12)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            said, _ = process.communicate()
            world.counts[f"fresh processes struck: {number.name}"] += 1
    world.tell(fresh=words[2:], code=process.returncode, number=number.name, said=said[-400:])
    # Python itself says what came while it was starting.
    is_early = process.returncode in (1, -number) and "KeyboardInterrupt" in said
    hold("Traceback" not in said or is_early, said)
    hold(process.returncode in (0, 1, -number), process.returncode, said)
    world.look_at(model)
    world.counts["fresh processes"] += 1
    if process.returncode == 0:
        finish(world, model)
    return None


def rerun(world):
    """Do a finished run again under another name."""
    done = [m for m in world.models.values() if m.is_done and m.is_plain]
    if not done:
        return resume(world)
    model = world.chance.choice(done)
    again = Model(world.new_name("again"), model.recipe)
    world.models[again.name] = again
    code, said = world.run(
        "rerun", model.name, "--model_name", again.name, strike=world.draw_strike(CALLS_OF_A_RUN)
    )
    world.look_at(again)
    again.is_plain = False  # its record says what it repeats
    if code == 0:
        hold(again.step == LAST, again, said)
        again.is_done = True
        world.counts["reruns equal to the run"] += 1
    world.counts["reruns"] += 1
    retire(world, again)
    return None
